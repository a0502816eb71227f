"""Sentence embeddings from a folder of published weights, such as all-MiniLM-L6-v2.

The folder is as the sentence-transformers project publishes them: ``config.json``,
``model.safetensors``, ``tokenizer.json``, and how tokens are pooled in ``1_Pooling/config.json``.

References:
  Reimers & Gurevych, Sentence-BERT, 2019, https://arxiv.org/abs/1908.10084.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.events import OnEvent, Progress, silent
from ferjax.extras import how_to_install
from ferjax.files import read_json
from ferjax.models import bert
from ferjax.models.pretrained import read_state

__all__ = ["SentenceEncoder", "pooled"]

_BATCH = 64
_LENGTHS = (16, 32, 64, 128, 256, 512)
"""Tokens that texts are padded to, so that few programs are compiled."""


def pooled(hidden: jax.Array, there: jax.Array, *, mean: bool, unit: bool) -> jax.Array:
    """One vector a text.

    Args:
      hidden: ``[text, token, dim]``.
      there: bool ``[text, token]``, at least one of each text.
      mean: the mean of its tokens; else the first token's. Static.
      unit: brought to length 1. Static.

    Returns:
      ``[text, dim]``.

    >>> hidden = jnp.array([[[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]]])
    >>> there = jnp.array([[True, True, False]])
    >>> pooled(hidden, there, mean=True, unit=False).tolist()
    [[1.5, 2.0]]
    >>> pooled(hidden, there, mean=False, unit=True).tolist()
    [[1.0, 0.0]]
    """
    vectors = hidden[:, 0]
    if mean:
        weights = there.astype(hidden.dtype)[..., None]
        vectors = jnp.sum(hidden * weights, 1) / jnp.sum(weights, 1)
    if unit:
        vectors = vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return vectors


class SentenceEncoder:
    """A network that maps texts to vectors.

    Args:
      folder: see above.

    Attributes:
      width: of the vectors.
      longest: tokens of a text, with the two that BERT adds; what is beyond is cut off.

    Raises:
      FileNotFoundError: if a file is missing.
      ValueError: naming the file, if it is damaged or describes another network; or if the package
        ``tokenizers`` is not installed.
    """

    def __init__(self, folder: str | os.PathLike):
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no folder {folder}; a sentence encoder is a folder with config.json, "
                "model.safetensors and tokenizer.json"
            )
        config = _config(folder)
        self._mean, unit = _pooling(folder)
        try:
            params = bert.from_state(read_state(folder), config["num_hidden_layers"])
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error
        self._tokenizer = _tokenizer(folder / "tokenizer.json", len(params["words"]))
        positions, self.width = params["positions"].shape
        heads = config["num_attention_heads"]
        if self.width % heads:
            raise ValueError(f"{folder}: {self.width} columns do not go into {heads} heads")
        self.longest = min(_longest(folder), positions, _LENGTHS[-1])
        self._params = jax.device_put(params)
        self._apply = jax.jit(
            functools.partial(
                _vectors,
                heads=heads,
                epsilon=float(config.get("layer_norm_eps", 1e-12)),
                mean=self._mean,
                unit=unit,
            )
        )

    def __call__(self, texts: Sequence[str], on_event: OnEvent = silent) -> np.ndarray:
        """Embeds texts.

        Args:
          texts: any number, each of at least one token.
          on_event: told how far it is.

        Returns:
          float32 ``[text, width]``; a text's row does not depend on what is beside it, up to
          rounding.
        """
        self._tokenizer.enable_truncation(self.longest)
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found = np.zeros((len(rows), self.width), np.float32)
        order = sorted(range(len(rows)), key=lambda k: len(rows[k]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            most = max(len(rows[k]) for k in batch)
            length = min(next(n for n in _LENGTHS if n >= most), self.longest)
            tokens = np.zeros((_BATCH, length), np.int32)
            there = np.zeros((_BATCH, length), bool)
            there[:, 0] = True  # rows that fill the batch have one token
            for place, k in enumerate(batch):
                tokens[place, : len(rows[k])] = rows[k]
                there[place, : len(rows[k])] = True
            found[batch] = np.asarray(self._apply(self._params, tokens, there))[: len(batch)]
            done = (start + len(batch)) / len(order)
            on_event(Progress(f"embedding {len(order):,} texts", done))
        return found


def _vectors(
    params: Mapping[str, Any],
    tokens: jax.Array,
    there: jax.Array,
    *,
    heads: int,
    epsilon: float,
    mean: bool,
    unit: bool,
) -> jax.Array:
    hidden = bert.encode(params, tokens, there, heads=heads, epsilon=epsilon)
    return pooled(hidden, there, mean=mean, unit=unit)


def _object(path: Path, what: str) -> dict[str, Any]:
    values = read_json(path, what)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected an object, the {what}")
    return values


_EXPECTED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    config = _object(path, "description of the network")
    for name, expected in _EXPECTED.items():
        if config.get(name, expected) != expected:
            raise ValueError(f"{path}: {name} is {config[name]!r}; expected {expected!r}")
    for name in ("num_hidden_layers", "num_attention_heads"):
        value = config.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{path}: {name} must be a whole number above 0, got {value!r}")
    return config


def _pooling(folder: Path) -> tuple[bool, bool]:
    """Whether tokens' mean is taken, and whether it is brought to length 1."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} does not say how tokens become one vector (1_Pooling/config.json); it is no "
            "sentence encoder"
        )
    said = _object(path, "way of pooling")
    chosen = [name for name, value in said.items() if name.startswith("pooling_mode_") and value]
    known = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    if len(chosen) != 1 or chosen[0] not in known:
        raise ValueError(
            f"{path}: pools by {', '.join(chosen) or 'nothing'}; expected the mean of the tokens "
            "or the first token"
        )
    modules = folder / "modules.json"
    kinds = [""]
    if modules.is_file():
        listed = read_json(modules, "list of modules")
        kinds = [str(m.get("type", "")) if isinstance(m, dict) else "" for m in listed]
        other = [kind for kind in kinds if kind.rpartition(".")[2] not in _MODULES]
        if other:
            raise ValueError(f"{modules}: module {other[0]!r} is none of {', '.join(_MODULES)}")
    return known[chosen[0]], any(kind.endswith("Normalize") for kind in kinds)


_MODULES = ("Transformer", "Pooling", "Normalize")


def _longest(folder: Path) -> int:
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return _LENGTHS[-1]
    value = _object(path, "length of texts").get("max_seq_length") or _LENGTHS[-1]
    if not isinstance(value, int) or value < 3:
        raise ValueError(f"{path}: max_seq_length must be a whole number above 2, got {value!r}")
    return value


def _tokenizer(path: Path, words: int) -> Any:
    try:
        import tokenizers
    except ImportError:
        raise ValueError(
            "embedding texts needs the package tokenizers, which is not installed: "
            + how_to_install("text")
        ) from None
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer at {path}")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises plain Exception for damaged files
        raise ValueError(f"{path}: not a tokenizer ({error})") from error
    tokenizer.no_padding()
    if tokenizer.get_vocab_size() > words:
        raise ValueError(
            f"{path}: {tokenizer.get_vocab_size():,} tokens, the network knows {words:,}"
        )
    return tokenizer
