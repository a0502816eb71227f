"""The grid of a collection: every (text, model, temperature, sample), each with a durable key."""

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from ferjax.config import CollectConfig
from ferjax.judgments import text_hash
from ferjax.texts.items import Texts

__all__ = ["Slot", "grid", "group", "label_order", "schema", "seed_of"]


class Slot(NamedTuple):
    """One answer that is asked for."""

    key: str
    """SHA-256 of everything that the answer depends on, in hexadecimal."""
    item: int
    """Number of the text."""
    model: str
    temperature: float
    sample: int
    prompt: str
    """Hash of the prompt."""


def grid(config: CollectConfig, prompt: str, texts: Texts, models: Sequence[str]) -> list[Slot]:
    """All slots of a collection, in an order drawn by its seed.

    An interrupted collection is thus a random part of the grid. At temperature 0 there is one
    sample: further ones would be copies of it.

    Args:
      config: temperatures, samples and settings.
      prompt: hash of the prompt.
      texts: what is judged.
      models: names of the models.
    """
    settings: list[Any] = [config.top_p, config.max_tokens, config.json_schema]
    settings += [config.permute_labels, dict(config.extra)]
    hashes = [text_hash(text) for text in texts.texts]
    slots = []
    for item, model, temperature in itertools.product(
        range(len(texts.ids)), models, config.temperatures
    ):
        for sample in range(config.samples if temperature > 0 else 1):
            about = (texts.ids[item], hashes[item], prompt, model, temperature, sample, config.seed)
            text = json.dumps([*about, *settings], sort_keys=True)
            key = hashlib.sha256(text.encode()).hexdigest()
            slots.append(Slot(key, item, model, float(temperature), sample, prompt))
    random.Random(config.seed).shuffle(slots)
    return slots


def group(slots: Sequence[Slot], most: int) -> list[list[Slot]]:
    """Slots that one request can ask for: they differ in their sample alone.

    Args:
      slots: in the order in which they should be asked.
      most: slots in a request.

    Returns:
      Groups, in the order of their first slots.
    """
    groups: list[list[Slot]] = []
    open_ones: dict[Any, list[Slot]] = {}
    for slot in slots:
        alike = slot[1:4] + slot[5:]
        if len(open_ones.get(alike, ())) not in range(1, most):
            open_ones[alike] = []
            groups.append(open_ones[alike])
        open_ones[alike].append(slot)
    return groups


def seed_of(slot: Slot) -> int:
    """The seed that a server is given for a slot: 31 bits of its key."""
    return int(slot.key[:8], 16) & 0x7FFFFFFF


def label_order(slot: Slot, labels: int) -> list[int]:
    """The order in which a slot's prompt names the labels, drawn by its key."""
    order = list(range(labels))
    random.Random(slot.key).shuffle(order)
    return order


def schema(config: CollectConfig) -> dict[str, Any]:
    """The JSON schema of valid answers."""
    if config.kind == "real":
        low, high = config.levels
        number = {"type": "number", "minimum": low, "maximum": high}
        return _object(dict.fromkeys(config.labels, number), required=True)
    if config.ask == "shares":
        number = {"type": "number", "minimum": 0, "maximum": 100}
        return _object(dict.fromkeys(config.labels, number), required=False)
    most = 1 if config.kind == "single" else len(config.labels)
    least = 0 if config.kind == "multi" and not config.none_label else 1
    names = {"type": "string", "enum": list(config.labels)}
    return {"type": "array", "items": names, "minItems": least, "maxItems": most}


def _object(properties: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required else [],
        "additionalProperties": False,
    }
