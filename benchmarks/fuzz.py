"""Seeded hostile inputs for every reader: each must read, or refuse in one sentence.

    python -m benchmarks.fuzz [--inputs 5000] [--seed 0]

A reader may raise ValueError or FileNotFoundError that names the file, and nothing else; it must
end within :data:`SECONDS` and take no more than :data:`MEMORY`. Inputs are whole files, damaged in
one of several ways (bytes flipped, cut off, doubled, spliced with another kind of file, numbers in
headers replaced), and texts nested or grown. Prints counts by reader; exits with 1 on any breach.
"""

import argparse
import collections
import io
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.fuzzed_readers import Target, npy, targets

SECONDS = 20.0
"""Processor seconds that any one input may take."""
MEMORY = 2 * 2**30
"""Bytes by which the process may grow over all inputs."""


class Breach(NamedTuple):
    """An input that was neither read nor refused in words."""

    reader: str
    number: int
    what: str


def damaged(dice: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A whole file, damaged in one way."""
    way = dice.choice(("whole", "flip", "flip", "cut", "double", "splice", "number", "zip", "grow"))
    if not data or way == "whole":
        return data
    if way == "flip":
        changed = bytearray(data)
        for _ in range(dice.choice((1, 2, 8, 64))):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        return bytes(changed)
    if way == "cut":
        return data[: dice.randrange(len(data))]
    if way == "double":
        return data + data[dice.randrange(len(data)) :]
    if way == "splice":
        other = dice.choice(others)
        return data[: dice.randrange(len(data))] + other[dice.randrange(len(other) + 1) :]
    if way == "number":
        return _with_other_number(dice, data)
    if way == "zip":
        return _rezipped(dice, data)
    return data.replace(b",", b"," + b"9" * dice.choice((30, 5000, 2_000_000)), 1)


def _with_other_number(dice: random.Random, data: bytes) -> bytes:
    """One number in a text or a header is another of the same length, or much longer."""
    digits = [i for i in range(min(len(data), 5000)) if data[i : i + 1].isdigit()]
    if not digits:
        return data
    at = dice.choice(digits)
    new = dice.choice((b"9", b"0", b"-", b"1e9", b"99999999999999999999999", b"NaN", b"\xe9"))
    return data[:at] + new + data[at + 1 :]


def _rezipped(dice: random.Random, data: bytes) -> bytes:
    """The parts of an archive again: compressed otherwise, twice, or claiming another shape."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile:
        return data
    buffer = io.BytesIO()
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(buffer, "w", dice.choice(ways)) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that occur twice
        for name, part in parts.items():
            if dice.random() < 0.3:
                part = dice.choice((_claim(dice), npy(np.array(["text"])), part + part, b""))
            archive.writestr(name, part)
            if dice.random() < 0.1:
                archive.writestr(name, part)
    return buffer.getvalue()


def _claim(dice: random.Random) -> bytes:
    """An array whose header claims what is not there."""
    shape = dice.choice(((10**9, 0, 0), (10**6, 10**6), (2**62, 4), (-1, 8), (10**9, 48, 48)))
    kind = dice.choice(("<f4", "|u1", "|O", "<M8[s]", "<U100000", "|V4"))
    header = repr({"descr": kind, "fortran_order": dice.random() < 0.5, "shape": shape})
    text = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _inputs(
    dice: random.Random, kinds: dict[str, Target], count: int
) -> Iterator[tuple[str, str, bytes]]:
    """So many inputs, readers in turn: reader, suffix, content."""
    names = list(kinds)
    every = [seed for target in kinds.values() for of in target.seeds.values() for seed in of]
    for number in range(count):
        name = names[number % len(names)]
        suffix = dice.choice(list(kinds[name].seeds))
        yield name, suffix, damaged(dice, dice.choice(kinds[name].seeds[suffix]), every)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


Counts = dict[str, collections.Counter]


def fuzz(count: int, seed: int, folder: Path) -> tuple[Counts, list[Breach]]:
    """Feeds so many inputs to the readers.

    Returns:
      Reader -> how many were read, and refused; and every breach.
    """
    dice = random.Random(seed)
    kinds = targets()
    counts: Counts = collections.defaultdict(collections.Counter)
    breaches = []
    before = _memory()
    for number, (name, suffix, data) in enumerate(_inputs(dice, kinds, count)):
        path = folder / f"input{suffix}"
        path.write_bytes(data)
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kinds[name].read(path)
            counts[name]["read"] += 1
        except (ValueError, FileNotFoundError) as error:
            counts[name]["refused"] += 1
            unfit = "\x1b" in str(error) or len(str(error)) > 2000
            if unfit or (kinds[name].named and str(folder) not in str(error)):
                breaches.append(Breach(name, number, f"an unfit message: {str(error)[:200]!r}"))
        except BaseException as error:
            where = traceback.format_exc().splitlines()[-6:]
            breaches.append(Breach(name, number, f"{type(error).__name__}: {' | '.join(where)}"))
        if time.process_time() - began > SECONDS:
            breaches.append(Breach(name, number, f"took {time.process_time() - began:.0f} s"))
        if _memory() - before > MEMORY:
            breaches.append(Breach(name, number, f"grew by {(_memory() - before) / 2**20:.0f} MiB"))
            before = _memory()
    return counts, breaches


def main(argv: Sequence[str] = ()) -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    before = _memory()
    with tempfile.TemporaryDirectory() as folder:
        counts, breaches = fuzz(given.inputs, given.seed, Path(folder))
    for name, of in counts.items():
        print(f"{name}: {of['read']} read, {of['refused']} refused")
    for breach in breaches:
        print(f"BREACH {breach.reader}, input {breach.number}: {breach.what}")
    total = sum(sum(of.values()) for of in counts.values())
    print(
        f"{total} inputs, {len(breaches)} breaches, {(_memory() - before) / 2**20:.0f} MiB more "
        "memory at the most"
    )
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
