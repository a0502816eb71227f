"""What fits where: the training step of five members, compiled for devices that are not here.

    python -m benchmarks.targets [--networks s14 b14 l14 g14] [--targets h100:1 h100:8 v5e:2x2 ...]
        [--depth BLOCKS] [--estimate] [--seconds LIMIT]

The configuration is `configs/ferplus_dinov2_b14.py` with another network. Each line of the table is
compiled in a process of its own, as `ferjax train --dry-run --target` compiles it, and printed when
it is done; a line that takes longer than LIMIT seconds, or with --estimate every line, says what
`ferjax.ensemble.cost` estimates and nothing of the compiler's. Sizes are GiB per device, FLOPs are
those of a device in a step: the compiler's, or in brackets those counted by hand.
"""

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Sequence

import jax

from ferjax.config import dinov2, load_config
from ferjax.ensemble import ahead, placement, targets
from ferjax.ensemble.accelerators import memory_limit
from ferjax.faces import ferplus

NETWORKS = ("s14", "b14", "l14", "g14")
TARGETS = ("h100:1", "h100:8", "v5e:2x2", "v5p:2x2x1", "v5e:2x4")
HEAD = (
    "| network | target | replicas × members | fits | estimate, GiB | compiler, GiB "
    "| estimate / compiler | FLOPs per step | within replicas | between members | compile, s |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
_GIB = 2**30


def line(network: str, target: str, depth: int | None, compiled: bool) -> str:
    """One line of the table."""
    jax.config.update("jax_platforms", "cpu")
    config = load_config("ferplus_dinov2_b14")
    model = dinov2(network, dtype="bfloat16", remat=True, head="cls")
    model = dataclasses.replace(model, depth=depth or model.depth)
    config = dataclasses.replace(config, model=model)
    devices = targets.target_devices(target)
    faces = dict(ferplus.PUBLISHED_FACES)
    best = placement.choose(
        config,
        ferplus.SPEC,
        train_faces=faces["train"],
        valid_faces=faces["valid"],
        devices=devices,
    ).best
    layout = best.layout
    estimated = best.budget.device_bytes
    counted = layout.per_device * config.train.batch_size * best.budget.train_flops
    counted /= layout.replicas
    name = network if depth is None else f"{network}, {depth} blocks"
    placed = f"{layout.replicas} × {layout.per_device}"
    if layout.at_once < layout.per_device:
        placed += f", {layout.at_once} at once"
    if layout.padding:
        placed += f", {layout.padding} padding"
    if not compiled:
        cells = ["yes" if best.fits else "no", f"{estimated / _GIB:.1f}", "", ""]
        cells += [f"({counted:.1e})", "", "", ""]
        return f"| {name} | {target} | {placed} | {' | '.join(cells)} |"
    step = next(ahead.compile_run(config, ferplus.SPEC, devices, layout, faces))
    limit = memory_limit(devices[0])
    fits = not step.refusal and step.device_bytes <= limit
    ratio = f"{estimated / step.device_bytes:.2f}" if step.device_bytes else ""
    flops = f"{step.flops:.1e}" if step.flops else f"({counted:.1e})"
    within = ", ".join(f"{n} {kind}" for kind, n in step.collectives.items()) or "none"
    cells = [
        f"{'yes' if fits else 'no'}, of {limit / _GIB:.1f}",
        f"{estimated / _GIB:.1f}",
        f"{step.device_bytes / _GIB:.1f}",
        ratio,
        flops,
        "not compiled to the end" if step.refusal else within,
        str(step.between_members or "none"),
        f"{step.seconds:.0f}",
    ]
    return f"| {name} | {target} | {placed} | {' | '.join(cells)} |"


def main(argv: Sequence[str] = ()) -> None:
    """Prints the table, line by line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--depth", type=int, default=None)
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.one:
        print(line(given.networks[0], given.targets[0], given.depth, not given.estimate))
        return
    print(HEAD, flush=True)
    for network in given.networks:
        for target in given.targets:
            print(apart(given, network, target), flush=True)


def apart(given: argparse.Namespace, network: str, target: str) -> str:
    """A line from a process of its own, which leaves no compiler's memory behind."""
    words = [sys.executable, "-m", "benchmarks.targets", "--one"]
    words += ["--networks", network, "--targets", target]
    if given.depth is not None:
        words += ["--depth", str(given.depth)]
    if not given.estimate:
        try:
            done = subprocess.run(words, timeout=given.seconds, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            pass
        else:
            if done.returncode == 0:
                return done.stdout.splitlines()[-1]
            print(done.stderr, file=sys.stderr)
            raise SystemExit(f"{network} for {target} did not compile")
    words.append("--estimate")
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
