"""``ferjax train --dry-run --target``: what a run's programs take on devices that are not here."""

from collections.abc import Mapping
from pathlib import Path

import jax

from ferjax.commands.console import err, out
from ferjax.commands.display import Console, budget_lines
from ferjax.config import Config
from ferjax.ensemble import ahead, fitting, placement, targets, training
from ferjax.ensemble.accelerators import memory_limit
from ferjax.faces import dataset, ferplus
from ferjax.faces.dataset import DataSpec

__all__ = ["compile_for"]

_GIB = 2**30


def _data(config: Config) -> tuple[DataSpec, dict[str, int]]:
    """What the run's data are, and how many faces; FER+'s published size where it is not here."""
    if config.data.name == "ferplus" and not Path(config.data.path).exists():
        err.print(
            f"{config.data.path} is not here: counted with FER+'s published "
            f"{ferplus.PUBLISHED_FACES['train']:,} training and "
            f"{ferplus.PUBLISHED_FACES['valid']:,} valid faces"
        )
        return ferplus.SPEC, dict(ferplus.PUBLISHED_FACES)
    data = dataset.load(config.data)
    return data.spec, {name: len(data[name].ids) for name in ("train", "valid")}


def _start(config: Config) -> object:
    """Parameters that members start from; random ones where the weights are not here."""
    if config.model.pretrained and not Path(config.model.pretrained).exists():
        err.print(f"{config.model.pretrained} is not here: compiled for random weights")
        return None
    return training.starting_point(config)[1]


def compile_for(config: Config, target: str, replicas: int | None, chunk: int | None) -> int:
    """Compiles a run's programs for a target and prints what they take; nothing is written.

    Returns:
      0 if they fit and no members meet in a collective, else 1.

    Raises:
      ValueError: on an unknown target, a missing compiler, or wrong data or weights.
    """
    if config.model.network != "vit":
        raise ValueError(
            f"--target compiles networks of pictures; model.network {config.model.network} is "
            "small enough for any device"
        )
    if config.train.method == "distil":
        raise ValueError("--target compiles what learns from votes; distil learns from an ensemble")
    jax.config.update("jax_platforms", "cpu")  # what is here is not asked for
    devices = targets.target_devices(target)
    spec, faces = _data(config)
    training.steps_per_epoch(config.train, faces["train"])
    start = _start(config)
    choice = placement.choose(
        config,
        spec,
        train_faces=faces["train"],
        valid_faces=faces["valid"],
        devices=devices,
        replicas=replicas,
        chunk=chunk,
    )
    layout = choice.best.layout
    for line in budget_lines(choice.best.budget._replace(layout=str(choice))):
        out.print(line)
    with Console() as on_event:
        programs = list(
            ahead.compile_run(config, spec, devices, layout, faces, start, on_event=on_event)
        )
    limit = memory_limit(devices[0])
    out.print(f"compiled for {target}, per device:")
    for program in programs:
        out.print(_line(program))
    fullest = max(programs, key=lambda program: program.device_bytes)
    step = programs[0]
    if step.device_bytes:
        ratio = choice.best.budget.device_bytes / step.device_bytes
        out.print(
            f"estimate: {choice.best.budget.device_bytes / _GIB:.2f} GiB, {ratio:.2f} times the "
            "compiler's figure of the training step"
        )
    fits = fullest.device_bytes <= limit and not any(program.refusal for program in programs)
    memory = f"{limit / _GIB:.1f} GiB that JAX takes on {devices[0].device_kind}"
    if fits:
        out.print(f"fits: {fullest.device_bytes / _GIB:.2f} GiB of the {memory}")
    else:
        out.print(f"does not fit: {fullest.device_bytes / _GIB:.2f} GiB of the {memory}")
        for line in fitting.advice(config, spec, devices, faces, choice.best, step, limit):
            out.print(f"  {line}")
    between = sum(program.between_members for program in programs)
    out.print(f"collectives between members: {between or 'none'}")
    if not step.steady:
        out.print("the training step returns its state in another form: every step would compile")
    if not fits or between or not step.steady:
        return 1
    out.print("next, where these devices are: the same command with --out RUN, without --dry-run")
    return 0


def _line(program: ahead.CompiledProgram) -> str:
    """What a program takes per device, in a line that needs no wide terminal."""
    if program.refusal:
        return f"{program.name}: refused after {program.seconds:.0f} s: {program.refusal}"
    gib = [
        f"{size / _GIB:.2f}"
        for size in (program.arguments, program.outputs, program.aliased, program.temporaries)
    ]
    flops = "not said" if program.flops is None else f"{program.flops:.2e}"
    return (
        f"{program.name}: arguments {gib[0]} + outputs {gib[1]} - in place {gib[2]} + temporaries "
        f"{gib[3]} = {program.device_bytes / _GIB:.2f} GiB; FLOPs {flops}; collectives within a "
        f"member's replicas: {_named(program.collectives)}; compiled in {program.seconds:.0f} s"
    )


def _named(collectives: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in collectives.items()) or "none"
