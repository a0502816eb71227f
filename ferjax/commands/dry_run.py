"""What ``ferjax train --dry-run`` says: data, weights, cost, whether it fits, what comes next."""

import dataclasses
import os
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from ferjax.commands.display import budget_lines
from ferjax.config import Config, load_config
from ferjax.ensemble.accelerators import memory_limit

if TYPE_CHECKING:
    from ferjax.ensemble.cost import Budget
    from ferjax.ensemble.placement import Placed
    from ferjax.faces.dataset import Dataset

__all__ = ["Memory", "lines", "memory", "overrides", "train_command"]

_GIB = 2**30


class Memory(NamedTuple):
    """Whether a run fits: None where nobody says how much memory there is; and that in words."""

    fits: bool | None
    said: str


def lines(config: Config, data: "Dataset", budget: "Budget", memory: Memory) -> list[str]:
    """What was found and what it takes, a line each; data and weights were read."""
    return [_data(config, data), _weights(config), *budget_lines(budget), memory.said]


def _data(config: Config, data: "Dataset") -> str:
    sizes = " / ".join(f"{len(data[name].ids):,} {name}" for name in ("train", "valid", "test"))
    classes = ", ".join(data.spec.classes)
    if config.data.name == "texts":
        return f"data: {sizes} texts, from {config.data.path}; classes {classes}"
    source = "drawn here" if config.data.name == "synthetic" else f"from {config.data.path}"
    kept = f"kept by the label filter {config.data.policy}"
    return f"data: {sizes} faces, {source}, {kept}; classes {classes}"


def _weights(config: Config) -> str:
    source = config.model.pretrained
    if source:
        return f"weights: {source} found, the tensors match the network"
    return "weights: none are named (model.pretrained), members start at random"


def memory(placed: "Placed") -> Memory:
    """The estimate against the memory there is; devices of one CPU share the machine's."""
    device = placed.layout.devices[0]
    needed = placed.budget.device_bytes
    limit = memory_limit(device)
    of = f"that JAX takes on {device.device_kind}"
    if not limit and device.platform == "cpu":
        needed *= len(placed.layout.devices)
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        of = "of this machine"
    if not limit:
        said = f"fits: not known, {device.device_kind} does not say how much memory it has"
        return Memory(None, said)
    said = f"about {needed / _GIB:.2f} GiB of the {limit / _GIB:.1f} GiB {of}"
    if placed.fits and needed <= limit:
        return Memory(True, f"fits: {said}")
    less = "--model.remat, --train.accumulate 2 or --chunk 1 take less"
    return Memory(False, f"does not fit: {said}; {less}")


def train_command(name: str, config: Config, out: object, more: list[str]) -> str:
    """The command line that trains a configuration.

    Args:
      name: the configuration's file or name.
      config: it, with what was changed.
      out: the run's folder, if one was named.
      more: further options.
    """
    changed = overrides(load_config(name), config)
    words = ["ferjax", "train", name, "--out", str(out or "RUN"), *changed, *more]
    return shlex.join(words)


def overrides(was: Any, now: Any, prefix: str = "--") -> list[str]:
    """The options that make one configuration of another.

    >>> overrides(Config(), Config.from_json('{"train": {"seeds": [1, 2]}}'))
    ['--train.seeds', '1', '2']
    """
    words: list[str] = []
    for field in dataclasses.fields(now):
        old = getattr(was, field.name)
        new = getattr(now, field.name)
        option = f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(new):
            words += overrides(old, new, f"{option}.")
        elif isinstance(new, bool) and old != new:
            words.append(option if new else f"{prefix}no-{field.name.replace('_', '-')}")
        elif old != new:
            values = new if isinstance(new, tuple) else (new,)
            words += [option, *map(str, values)]
    return words
