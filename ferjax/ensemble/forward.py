"""One member's forward pass for prediction: log-probabilities, scores and features."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferjax.config import ModelConfig
from ferjax.ensemble.methods import Method, read_passes
from ferjax.models import vit

__all__ = ["Features", "Forward", "ForwardOutputs", "density_blocks", "make_forward"]


class Features(NamedTuple):
    """Features of a batch, ``[face, width]`` each; ``[member, face, width]`` once stacked.

    Those of a frozen trunk are the same for every member.
    """

    head: jax.Array
    """What the linear head saw."""
    trunk: dict[str, jax.Array]
    """Tokens after blocks of the shared trunk, by ``block_N``: CLS and mean patch side by side."""
    own: dict[str, jax.Array]
    """The same after blocks of the member's own."""


class ForwardOutputs(NamedTuple):
    """What one member makes of a batch."""

    log_probs: jax.Array
    """``[pass, face, class]``."""
    scores: dict[str, jax.Array]
    """``[face]`` by name: the free ``energy`` of its logits, and what its method adds."""
    features: Features
    log_concentration: jax.Array | None = None
    """``[pass, face]`` where its method predicts Dirichlet distributions."""


Forward = Callable[[Any, Any, jax.Array, jax.Array], ForwardOutputs]
"""``forward(params, trunk_params, inputs, key)`` with normalised network inputs ``[face, S, S,
3]``."""


def density_blocks(config: ModelConfig) -> tuple[int, ...]:
    """After how many blocks features are taken: a third and two thirds of the depth."""
    return tuple(sorted({max(1, config.depth // 3), max(1, 2 * config.depth // 3)}))


def make_forward(config: ModelConfig, num_classes: int, method: Method) -> Forward:
    """Builds the forward pass of one member, trunk included.

    Args:
      config: the architecture.
      num_classes: width of the head.
      method: how the network is read.

    Returns:
      :data:`Forward`; its ``key`` is the member's, for passes that are random. With
      ``config.flips``, probabilities, scores and the logarithm of concentrations are means over a
      picture and its mirror image; features are of the picture.
    """
    if config.network != "vit":
        raise ValueError(
            f"model.network {config.network} reads texts, which `ferjax judge predict` judges"
        )
    first = vit.first_trained_block(config)
    below = tuple(block for block in density_blocks(config) if block <= first)
    above = tuple(block for block in density_blocks(config) if block > first)
    trunk = vit.with_intermediates(config, below, stop=first)
    member = vit.with_intermediates(
        config, above, start=first, num_classes=num_classes, extra=method.extra
    )
    random = vit.members_model(config, num_classes, method.extra)
    # What passes share is everything below the first mask. Blocks with masks of their own are so
    # many networks, too many to hold at once.
    at_once = config.dropout_at == "head"

    def forward(
        params: Any, trunk_params: Any, inputs: jax.Array, key: jax.Array
    ) -> ForwardOutputs:
        shared: dict[int, jax.Array] = {}
        if config.trainable_blocks is not None:
            inputs, shared = trunk(trunk_params, inputs)
        output, own = member(params, inputs)

        def one_pass(key: jax.Array | None) -> vit.Output:
            return output if key is None else random.apply(params, inputs, sample=key)

        reading = read_passes(method, one_pass, key, at_once=at_once)
        energy = -jax.nn.logsumexp(output.logits, axis=-1)
        return ForwardOutputs(
            reading.log_probs,
            {"energy": energy, **reading.scores},
            Features(output.features, _named(shared), _named(own)),
            reading.log_concentration,
        )

    def of_both(
        params: Any, trunk_params: Any, inputs: jax.Array, key: jax.Array
    ) -> ForwardOutputs:
        one = forward(params, trunk_params, inputs, key)
        other = forward(params, trunk_params, inputs[:, :, ::-1], key)
        scores, concentration = jax.tree.map(
            lambda a, b: (a + b) / 2,
            (one.scores, one.log_concentration),
            (other.scores, other.log_concentration),
        )
        log_probs = jnp.logaddexp(one.log_probs, other.log_probs) - jnp.log(2.0)
        return ForwardOutputs(log_probs, scores, one.features, concentration)

    return of_both if config.flips else forward


def _named(features: Mapping[int, jax.Array]) -> dict[str, jax.Array]:
    return {f"block_{count}": value for count, value in features.items()}
