"""Training throughput of an ensemble: one vmapped step against the same jitted step called once per member.

    python -m benchmarks.ensemble [--quick]

Same work on both sides: M members, one batch each, forward, backward and AdamW. Achieved FLOP/s are held against the best
large matrix product measured in the same run.
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from benchmarks.timing import interleave, machine
from ferjax.config import Config, DataConfig, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import budget, members, parallel
from ferjax.models import vit

TINY = ModelConfig()
CACHED_S14 = dinov2("s14", 56, trainable_blocks=4, head="cls+mean")


def candidates(model_config: ModelConfig, count: int, batch: int):
    """The two ways to take one step of every member, as calls, and the FLOPs of that step."""
    config = Config(data=DataConfig(), model=model_config, train=TrainConfig(seeds=tuple(range(count)), batch_size=batch))
    model, optimizer = vit.members_model(model_config), members.optimizer(config.train, 10)
    cached = vit.trunk_model(model_config) is not None
    faces = 256
    data = (jnp.zeros((faces, 2, *vit.tokens_shape(model_config))) if cached else jnp.zeros((faces, 48, 48), jnp.uint8))
    targets = jnp.full((faces, vit.NUM_CLASSES), 1 / vit.NUM_CLASSES)
    step = members.train_step(model, optimizer, members.token_feed() if cached else members.pixel_feed(model_config.image_size))
    stacked_step = parallel.map_members(parallel.lay_out(count, jax.devices()[:1]), step, (0, 0, None, None))
    one_step = jax.jit(step)
    state = jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed)))(jnp.arange(count, dtype=jnp.uint32))
    order = jnp.zeros((count, 1, batch), jnp.int32)
    singles = [jax.tree.map(lambda leaf, k=k: leaf[k], (state, order)) for k in range(count)]
    flops = count * batch * budget.estimate(config, faces, 1, parallel.lay_out(count, jax.devices()[:1])).train_flops
    return {
        "stacked vmap": lambda: stacked_step(state, order, data, targets),
        "loop of jitted members": lambda: [one_step(*single, data, targets) for single in singles],
    }, flops


def matmul_peak(side: int) -> float:
    """FLOP/s of a large float32 matrix product."""
    a = jnp.ones((side, side))
    product = jax.jit(jnp.matmul)
    return 2 * side**3 / interleave({"matmul": lambda: product(a, a)}).get("matmul").median  # type: ignore[union-attr]


def main(argv: Sequence[str] = ()) -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small case, to see that it runs")
    quick = parser.parse_args(argv).quick
    plan = [("tiny ViT", TINY, 2, 8)] if quick else [
        ("tiny ViT", TINY, 1, 32), ("tiny ViT", TINY, 5, 32), ("tiny ViT", TINY, 10, 32), ("S/14, cached trunk, 4 blocks", CACHED_S14, 5, 64)]
    print(machine())
    peak = matmul_peak(256 if quick else 2048)
    print(f"float32 matmul: {peak / 1e9:.0f} GFLOP/s\n")
    print("| model | M | batch | stacked vmap, member-faces/s | loop of members | ratio | share of matmul | first call, s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, model, count, batch in plan:
        calls, flops = candidates(model, count, batch)
        t = interleave(calls, runs=2 if quick else 7)
        stacked, loop = t["stacked vmap"], t["loop of jitted members"]
        print(f"| {name} | {count} | {batch} | {count * batch / stacked.median:,.0f} | {count * batch / loop.median:,.0f} | "
              f"{loop.median / stacked.median:.2f} | {flops / stacked.median / peak:.0%} | {stacked.first:.1f} |", flush=True)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
