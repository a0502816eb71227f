"""BERT's encoder as a pure function over stacked layers, and its parameters from published states.

References:
  Devlin et al., BERT, 2018, https://arxiv.org/abs/1810.04805; Wang et al., MiniLM, 2020,
  https://arxiv.org/abs/2002.10957.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["encode", "from_state"]

_DENSE = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}
_NORMS = {"attention_norm": "attention.output.LayerNorm", "mlp_norm": "output.LayerNorm"}


def from_state(state: Mapping[str, np.ndarray], layers: int) -> dict[str, Any]:
    """Parameters from a state of Hugging Face's ``BertModel``, or of a model around one.

    Args:
      state: name -> array as PyTorch stores it; a pooler and other heads are left out.
      layers: how many the network has.

    Returns:
      ``words [vocabulary, dim]``, ``positions [position, dim]``, ``first_segment [dim]``, ``norm``,
      and ``layers``, whose leaves have the layer as first axis; float32.

    Raises:
      ValueError: naming the first tensor that is missing, or has not the shape of its siblings.
    """
    inner = "bert." if any(name.startswith("bert.") for name in state) else ""

    def take(name: str) -> np.ndarray:
        if inner + name not in state:
            raise ValueError(f"no tensor {inner + name}; is this a BERT of {layers} layers?")
        return np.asarray(state[inner + name], np.float32)

    def stacked(name: str) -> np.ndarray:
        rows = [take(f"encoder.layer.{k}.{name}") for k in range(layers)]
        for k, row in enumerate(rows):
            if row.shape != rows[0].shape:
                raise ValueError(
                    f"encoder.layer.{k}.{name} is {row.shape}, that of layer 0 {rows[0].shape}"
                )
        return np.stack(rows)

    own: dict[str, Any] = {
        name: {
            "kernel": stacked(f"{theirs}.weight").swapaxes(1, 2),
            "bias": stacked(f"{theirs}.bias"),
        }
        for name, theirs in _DENSE.items()
    }
    for name, theirs in _NORMS.items():
        own[name] = {"scale": stacked(f"{theirs}.weight"), "bias": stacked(f"{theirs}.bias")}
    return {
        "words": take("embeddings.word_embeddings.weight"),
        "positions": take("embeddings.position_embeddings.weight"),
        "first_segment": take("embeddings.token_type_embeddings.weight")[0],
        "norm": {
            "scale": take("embeddings.LayerNorm.weight"),
            "bias": take("embeddings.LayerNorm.bias"),
        },
        "layers": own,
    }


def _norm(x: jax.Array, params: Mapping[str, jax.Array], epsilon: float) -> jax.Array:
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
    unit = (x - mean) * jax.lax.rsqrt(variance + epsilon)
    return unit * params["scale"][None, None] + params["bias"][None, None]


def _dense(x: jax.Array, params: Mapping[str, jax.Array]) -> jax.Array:
    return x @ params["kernel"] + params["bias"][None, None]


def encode(
    params: Mapping[str, Any],
    tokens: jax.Array,
    there: jax.Array,
    *,
    heads: int,
    epsilon: float = 1e-12,
) -> jax.Array:
    """Hidden states after the last layer, of one segment.

    Args:
      params: of :func:`from_state`.
      tokens: int32 ``[text, token]``.
      there: bool ``[text, token]``: which are tokens, and not padding behind them.
      heads: of attention, static.
      epsilon: of the layer norms, static.

    Returns:
      float32 ``[text, token, dim]``; what stands at padding means nothing.
    """
    count = tokens.shape[1]
    x = (
        params["words"][tokens]
        + (params["positions"][:count] + params["first_segment"][None])[None]
    )
    x = _norm(x, params["norm"], epsilon)
    width = x.shape[-1] // heads
    unseen = jnp.where(there, 0.0, jnp.finfo(jnp.float32).min)[:, None, None]

    def split(y: jax.Array) -> jax.Array:
        return y.reshape(*y.shape[:2], heads, width).swapaxes(1, 2)

    def layer(x: jax.Array, own: Mapping[str, Any]) -> tuple[jax.Array, None]:
        query, key, value = (split(_dense(x, own[name])) for name in ("query", "key", "value"))
        scores = query @ key.swapaxes(-1, -2) / jnp.sqrt(jnp.float32(width))
        mixed = (jax.nn.softmax(scores + unseen, -1) @ value).swapaxes(1, 2).reshape(x.shape)
        x = _norm(x + _dense(mixed, own["out"]), own["attention_norm"], epsilon)
        hidden = jax.nn.gelu(_dense(x, own["up"]), approximate=False)
        return _norm(x + _dense(hidden, own["down"]), own["mlp_norm"], epsilon), None

    # One compiled layer, whatever their number.
    return jax.lax.scan(layer, x, params["layers"])[0]
