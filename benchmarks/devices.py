"""The paper's K = 5 DINOv2 B/14 at 224 pixels, in bfloat16, spread over every device.

    python -m benchmarks.devices [--quick] [--out FOLDER]

One training step of all members, laid out by ``ferjax.ensemble.parallel``: groups of members across
devices, vmap inside. "MFU" is the FLOP/s of the model's matrix products (forward 1, backward 2,
nothing for recomputation) over the best bfloat16 matrix product measured on one device in the same
run, times the devices used. On CPUs there is nothing to measure: the benchmark says so, and with
--quick takes one step of a tiny model on all the CPU devices there are
(XLA_FLAGS=--xla_force_host_platform_device_count=8 makes eight) to see that the way is open.
"""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import results
from benchmarks.timing import interleave, matmul_peak
from ferjax.config import Config, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import cost, inputs, members, parallel
from ferjax.ensemble.methods import METHODS, Target
from ferjax.ensemble.optimizer import adamw
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit

FACES = 512
CLASSES = 8
SIDE = 48
SPEC = DataSpec(tuple(f"class {k}" for k in range(CLASSES)), SIDE)


def step_on_all_devices(config: Config):
    """One training step of all members on all devices.

    Returns:
      a call that takes it and returns the losses ``[member]``, and its layout.
    """
    layout = parallel.lay_out(len(config.train.seeds), batch=config.train.batch_size)
    model = vit.members_model(config.model, CLASSES)
    optimizer = adamw(config.train, 10**6)
    draw = inputs.drawing(config.model)
    step = members.train_step(model, optimizer, METHODS["votes"], draw, split=layout.split)
    program = parallel.map_members(layout, step, (0, 0, None, None), donate=(0,))
    init = jax.jit(jax.vmap(lambda seed: members.init(model, optimizer, seed)))
    rng = np.random.default_rng(0)
    target = Target(jnp.full((FACES, CLASSES), 1 / CLASSES), jnp.ones((FACES, CLASSES), jnp.int32))
    images = jnp.asarray(rng.integers(0, 256, (FACES, SIDE, SIDE)), jnp.uint8)
    data, target = parallel.replicate(layout, (images, target))
    seeds = len(config.train.seeds)
    order = parallel.scatter(
        layout, jnp.asarray(rng.integers(0, FACES, (seeds, 1, config.train.batch_size)), jnp.int32)
    )
    carried = [parallel.scatter(layout, init(jnp.asarray(config.train.seeds, jnp.uint32)))]

    def call() -> jax.Array:
        carried[0], report = program(carried[0], order, data, target)
        return report.loss

    return call, layout


def run(found: results.Results) -> None:
    """The paper's ensemble where there is a GPU or TPU; else a rehearsal, or a word."""
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu and not found.quick:
        found.say("\nunmeasured: no GPU or TPU here; run the same command where there is one")
        return
    if found.quick:
        found.say("\na rehearsal with a tiny model: its figures mean nothing")
        plan = [
            (
                "minute ViT",
                ModelConfig(patch_size=24, dim=16, depth=1, heads=2, dtype="bfloat16"),
                5,
                8,
            )
        ]
    else:
        plan = [
            (
                f"B/14, 224 px, bf16{', remat' if remat else ''}",
                dinov2("b14", dtype="bfloat16", remat=remat),
                5,
                batch,
            )
            for batch, remat in ((32, False), (64, False), (256, True))
        ]
    peak = matmul_peak(256 if found.quick else 8192, "bfloat16")
    found.say(f"\nbfloat16 matmul on one device: {peak / 1e12:.3g} TFLOP/s at best")
    found.table(
        "one training step of every member",
        "model",
        "layout",
        "faces per member",
        "ms",
        "faces/s",
        "members × faces/s",
        "MFU",
        "first call, s",
        "±",
    )
    for name, model, count, batch in plan:
        config = Config(
            model=model,
            train=TrainConfig(seeds=tuple(range(count)), batch_size=batch, warmup_epochs=0),
        )
        try:
            call, layout = step_on_all_devices(config)
            timing = interleave({"step": call}, 2 if found.quick else 9, clock=found.clock)["step"]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            found.row(name, "out of memory", batch, *[None] * 6)
            continue
        budget = cost.estimate(config, SPEC, layout, train_faces=FACES, valid_faces=1)
        train_flops = 3 * budget.forward_flops
        used = count * batch * train_flops / timing.median
        found.row(
            name,
            str(layout),
            batch,
            1e3 * timing.median,
            batch / timing.median,
            count * batch / timing.median,
            f"{used / (peak * len(layout.devices)):.0%}",
            timing.first,
            f"{timing.spread:.0%}",
        )


if __name__ == "__main__":
    results.main(run, __doc__)
