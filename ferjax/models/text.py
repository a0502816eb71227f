"""Networks over texts: the mean of hashed n-grams' vectors, or given sentence embeddings.

Both end in features ``[text, dim]`` and a linear head, behind the same two functions as
:mod:`ferjax.models.vit`, so that every method trains them as it trains faces.

References:
  Joulin et al., Bag of Tricks for Efficient Text Classification, 2016,
  https://arxiv.org/abs/1607.01759.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ferjax.config import ModelConfig
from ferjax.models.layers import drop_values
from ferjax.models.vit import Model, Output

__all__ = ["text_model"]

Params = Any


def text_model(config: ModelConfig, num_classes: int, extra: int = 0) -> Model:
    """Builds a network over texts.

    Args:
      config: ``network`` is ``ngrams`` or ``embeddings``.
      num_classes: width of the head, at least 2.
      extra: further outputs, from a second linear map of the features.

    Returns:
      :class:`Model`. Inputs are int32 ``[text, slot]`` numbers of buckets, 0 for none, or float32
      ``[text, dim]`` embeddings, which are brought to one length.

    Raises:
      ValueError: if there are too few classes, or the network reads no texts.

    >>> model = text_model(ModelConfig(network="ngrams", buckets=9, dim=4), 3)
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.array([[1, 5, 0], [0, 0, 0]])).logits.shape
    (2, 3)
    """
    if num_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
    if config.network not in ("ngrams", "embeddings"):
        raise ValueError(f"network {config.network} reads no texts")
    dim = config.dim
    heads = {"head": num_classes, **({"extra": extra} if extra else {})}

    def init(key: jax.Array) -> Params:
        keys = jax.random.split(key, 1 + len(heads))
        params: Params = {}
        if config.network == "ngrams":
            params["embed"] = {"table": jax.random.normal(keys[0], (config.buckets, dim)) * 0.1}
        for name, of in zip(heads, keys[1:]):
            kernel = 0.02 * jax.random.truncated_normal(of, -2, 2, (dim, heads[name]))
            params[name] = {"kernel": kernel, "bias": jnp.zeros(heads[name])}
        return params

    def apply(
        params: Params,
        inputs: jax.Array,
        key: jax.Array | None = None,
        sample: jax.Array | None = None,
    ) -> Output:
        if config.network == "ngrams":
            there = (inputs > 0)[..., None]
            vectors = jnp.where(there, params["embed"]["table"][inputs], 0)
            features = vectors.sum(1) / jnp.sqrt(jnp.maximum(there.sum(1), 1))
        else:
            length = jnp.linalg.norm(inputs, axis=-1, keepdims=True)
            features = inputs * jnp.sqrt(dim) / jnp.maximum(length, 1e-12)
        seen = features
        if config.dropout and key is not None:
            seen = drop_values(features, config.dropout, key, shared=False)
        elif config.dropout and sample is not None:
            seen = drop_values(features, config.dropout, sample, shared=True)
        maps = {n: seen @ params[n]["kernel"] + params[n]["bias"][None] for n in heads}
        return Output(maps["head"], features, maps.get("extra"))

    return Model(init, apply)
