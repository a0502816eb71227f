"""Seeded hostile inputs for every reader: each must read, or refuse in one sentence.

    python -m benchmarks.fuzz [--inputs 5000] [--seed 0]

A reader may raise ValueError or FileNotFoundError that names the file, and nothing else; it must
end within :data:`SECONDS` and take no more than :data:`MEMORY`. Inputs are whole files, damaged in
one of several ways (bytes flipped, cut off, doubled, spliced with another kind of file, numbers in
headers replaced), and texts nested or grown. Prints counts by reader; exits with 1 on any breach.
"""

import argparse
import collections
import contextlib
import io
import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

SECONDS = 20.0
"""Seconds that any one input may take."""
MEMORY = 2 * 2**30
"""Bytes by which the process may grow over all inputs."""
CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


class Target(NamedTuple):
    """A reader, and whole files of the kind it reads, by suffix."""

    read: Callable[[Path], Any]
    seeds: dict[str, list[bytes]]


class Breach(NamedTuple):
    """An input that was neither read nor refused in words."""

    reader: str
    number: int
    what: str


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _picture(kind: str, mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def _votes(rng: np.random.Generator) -> bytes:
    rows = [",".join(("id", *CLASSES, "unknown", "NF"))]
    rows += [",".join(map(str, (i, *rng.integers(0, 9, 10)))) for i in range(12)]
    return "\n".join(rows).encode()


def _ferplus(rng: np.random.Generator) -> bytes:
    rows = [",".join(("Usage", "Image name", *CLASSES, "unknown", "NF"))]
    rows += [",".join(("Training", f"{i}.png", *map(str, rng.integers(0, 9, 10)))) for i in (1, 2)]
    return "\n".join(rows).encode()


def _safetensors(**arrays: np.ndarray) -> bytes:
    from safetensors.numpy import save

    return save(arrays)


def targets() -> dict[str, Target]:
    """Every reader by name."""
    from ferjax.config import Config, load_config
    from ferjax.ensemble import densities
    from ferjax.ensemble.folder import RunFolder
    from ferjax.ensemble.log import read_log
    from ferjax.evaluation import readers, vote_files
    from ferjax.faces import ferplus_files, image_files, image_folders
    from ferjax.faces.spec import DataSpec
    from ferjax.judgments import Judgments
    from ferjax.models import pretrained, state_dicts
    from ferjax.predictions import Predictions
    from ferjax.serving import archive, program, sources
    from ferjax.serving.records import Jsonl, resume

    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(8), (2, 12)).astype(np.float32)
    logs = np.log(probs)
    meta = np.array(json.dumps({"condition": "blur_2", "corruption": "blur", "severity": 2}))
    votes = rng.integers(0, 9, (12, 10))
    pictures = rng.integers(0, 255, (3, 30, 30), np.uint8)
    whole = _npz(log_probs=logs, votes=votes, ids=np.arange(12), meta=meta)
    rule = {"defer": {"score": "a", "above": 1}, "reject": {"score": "b", "above": None}}
    config = Config().to_json().encode()
    line = {"router": "", "path": "a.png", "action": "accept", "label": "b", "aleatoric": 0.1}
    about = {"format": 2, "classes": ["a", "b"], "side": 8, "routers": {"uar": rule}, "weights": 1}
    about["provenance"] = {}
    exported = archive.pack(about, b"ML\xefR no program", [np.zeros(3, np.float32)])
    weights = _safetensors(
        cls_token=np.zeros((1, 1, 8), np.float32),
        pos_embed=np.zeros((1, 5, 8), np.float32),
        **{"patch_embed.proj.weight": np.zeros((8, 3, 4, 4), np.float32)},
    )
    logged = json.dumps({"epoch": 1, "step": 3, "loss": [0.1]}).encode() + b"\n"

    def route_rows(path: Path) -> None:
        for item in sources.items([path]):
            with contextlib.suppress(ValueError):
                item.load(48, None)

    def stream(path: Path) -> None:
        with open(path, "rb") as file:
            for item in sources.items(["-"], file):
                with contextlib.suppress(ValueError):
                    item.load(48, None)

    def in_run(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def of(path: Path) -> Any:
            folder = path.parent / "run"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(path.read_bytes())
            return read(folder)

        return of

    texts = [b"null", b"5", b"[]", b'{"a": ' * 50_000, b'"x"', b"\xff\xfe{\x00}\x00"]
    return {
        "predictions": Target(
            readers.read_condition,
            {".npz": [whole, _npz(probs=probs), _npz(logits=logs)], ".npy": [_npy(probs)]},
        ),
        "predictions of a run": Target(Predictions.load, {".npz": [whole]}),
        "judgments": Target(Judgments.load, {".npz": [whole]}),
        "votes": Target(
            lambda path: vote_files.read_votes(path, 8),
            {".csv": [_votes(rng), _ferplus(rng)], ".npz": [_npz(votes=votes)]},
        ),
        "FER+ votes": Target(ferplus_files.read_votes, {".csv": [_ferplus(rng)]}),
        "FER+ pixels": Target(
            ferplus_files.read_pixels,
            {".csv": [b"emotion,pixels,Usage\n1," + b"7 " * 2304 + b",Training\n"]},
        ),
        "pictures": Target(
            lambda path: image_files.read(path, 48),
            {
                f".{kind.lower()}": [_picture(kind), _picture(kind, "P")]
                for kind in ("PNG", "GIF", "BMP", "TIFF")
            }
            | {".jpg": [_picture("JPEG")], ".webp": [_picture("WEBP", "RGB")]},
        ),
        "sets of pictures": Target(
            lambda path: image_folders.read_set(path, DataSpec(tuple(CLASSES), 48)),
            {".npz": [_npz(images=pictures, labels=np.array([0, 1, 2]))]},
        ),
        "rows to route": Target(route_rows, {".npz": [_npz(images=pictures)]}),
        "stream to route": Target(
            stream, {".txt": [b'{"path": "absent.png", "id": 3}\nabsent.jpg\n', *texts]}
        ),
        "lines to continue": Target(
            lambda path: resume(path, Jsonl()), {".jsonl": [json.dumps(line).encode() + b"\n"]}
        ),
        "exports": Target(archive.load, {".ferjax": [exported]}),
        "thresholds": Target(
            in_run("thresholds.json", program.load_thresholds),
            {".json": [json.dumps({"routers": {"uar": rule}}).encode(), *texts]},
        ),
        "configurations": Target(
            load_config,
            {
                ".json": [config, *texts],
                ".py": [b"raise SystemExit(0)", b"1 / 0", b"config = 5", b"import nothing_here"],
            },
        ),
        "descriptions of data": Target(
            in_run("data.json", lambda folder: RunFolder(folder).spec()),
            {".json": [b'{"classes": ["a", "b"], "side": 8}', *texts]},
        ),
        "logs": Target(read_log, {".jsonl": [logged * 3, *texts]}),
        "weights": Target(
            lambda path: state_dicts.describe(pretrained.read_state(path)),
            {".safetensors": [weights], ".pth": [_npz(a=logs)]},
        ),
        "densities": Target(
            in_run("densities.safetensors", densities.load), {".safetensors": [weights]}
        ),
    }


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
                part = dice.choice((_claim(dice), _npy(np.array(["text"])), part + part, b""))
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
        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kinds[name].read(path)
            counts[name]["read"] += 1
        except (ValueError, FileNotFoundError) as error:
            counts[name]["refused"] += 1
            if "\x1b" in str(error) or len(str(error)) > 2000:
                breaches.append(Breach(name, number, f"an unfit message: {str(error)[:200]!r}"))
        except BaseException as error:
            where = traceback.format_exc().splitlines()[-6:]
            breaches.append(Breach(name, number, f"{type(error).__name__}: {' | '.join(where)}"))
        if time.monotonic() - began > SECONDS:
            breaches.append(Breach(name, number, f"took {time.monotonic() - began:.0f} s"))
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
