"""The optimiser: AdamW with warm-up, a cosine to 0, and layer-wise learning-rate decay.

The only file that knows Optax.
"""

from typing import Any, TypeAlias

import optax

from ferjax.config import TrainConfig

__all__ = ["Optimizer", "OptimizerState", "adamw", "apply_updates"]

Params = Any
Optimizer: TypeAlias = optax.GradientTransformation
OptimizerState: TypeAlias = optax.OptState
apply_updates = optax.apply_updates


def _layer(name: str, depth: int) -> int:
    """How far below the head a part of the network lies: head and norm 0, embedding depth + 1."""
    if name.startswith("block_"):
        return depth - int(name.removeprefix("block_"))
    return depth + 1 if name == "embed" else 0


def adamw(config: TrainConfig, steps_per_epoch: int, depth: int = 0) -> Optimizer:
    """AdamW with optional linear warm-up and a cosine to 0 over the whole run.

    Args:
      config: learning rate, warm-up, weight decay, layer decay.
      steps_per_epoch: steps in an epoch.
      depth: blocks of the whole network (for the layer decay).

    References:
      Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019,
      https://arxiv.org/abs/1711.05101; Clark et al., ELECTRA, 2020,
      https://arxiv.org/abs/2003.10555 (layer-wise decay).
    """
    warmup = round(config.warmup * steps_per_epoch)
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=config.epochs * steps_per_epoch,
    )
    decoupled = optax.adamw(schedule, weight_decay=config.weight_decay)
    if config.layer_decay == 1.0:
        return decoupled

    def slow_down(updates: Params, params: Params | None) -> Params:
        del params
        rates = {name: config.layer_decay ** _layer(name, depth) for name in updates}
        return {name: optax.tree.scale(rates[name], part) for name, part in updates.items()}

    return optax.chain(decoupled, optax.stateless(slow_down))
