"""Pictures per second from files to decisions: ``ferjax route`` against the same members in plain
PyTorch loops.

    python -m benchmarks.serving RUN_OR_FILE PICTURES [--run RUN] [--runs 5] [--cpu]

All candidates read the same files, run the same members on them (written out in Hugging Face's
format, opened by transformers) and give probabilities, uncertainties and the action of each
picture; broken files get an error. The loops: ``loop`` decodes a batch, then runs the members over
it; ``loader`` decodes in two worker processes. ``--cpu`` counts seconds of processor time instead
of the clock's, which other programs on the machine do not change. Needs the extra parity.
"""

import argparse
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageClassification

from benchmarks.timing import describe, interleave, machine
from ferjax.ensemble import prediction
from ferjax.faces import image_files
from ferjax.faces.images import IMAGENET_MEAN, IMAGENET_STD
from ferjax.models.pretrained import write_hugging_face
from ferjax.routing import RouterRule
from ferjax.serving import pipeline, records, sources
from ferjax.serving.router import Router

BATCH = 64


def _read(path: str, side: int) -> np.ndarray | str:
    try:
        return image_files.read(path, side)[0][1]
    except ValueError as error:
        return str(error)


class _Files(torch.utils.data.Dataset):
    def __init__(self, paths: list[str], side: int):
        self.paths = paths
        self.side = side

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray | str:
        return _read(self.paths[i], self.side)


class TorchRouter:
    """The run's members, one after the other, and the decomposition, as one would write them in
    PyTorch."""

    def __init__(self, run: Path, rule: RouterRule):
        trained = prediction.load_run(run)
        self.size = trained.config.model.image_size
        self.rule = rule
        self.members = []
        with tempfile.TemporaryDirectory() as scratch:
            for member in range(len(trained.config.train.seeds)):
                folder = Path(scratch) / str(member)
                params = prediction.member_params(trained, member)
                write_hugging_face(params, trained.config.model, trained.spec.classes, folder)
                self.members.append(AutoModelForImageClassification.from_pretrained(folder).eval())

    @torch.inference_mode()
    def log_probs(self, faces: np.ndarray) -> torch.Tensor:
        """``[member, face, class]``."""
        x = torch.from_numpy(faces).float()[:, None] / 255
        x = torch.nn.functional.interpolate(
            x, (self.size, self.size), mode="bilinear", align_corners=False
        ).expand(-1, 3, -1, -1)
        x = (x - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[
            :, None, None
        ]
        return torch.stack([member(x).logits for member in self.members]).log_softmax(-1)

    @torch.inference_mode()
    def __call__(self, faces: np.ndarray) -> list[dict]:
        log_probs = self.log_probs(faces)
        mean = log_probs.exp().mean(0)
        aleatoric = -(log_probs.exp() * log_probs).sum(-1).mean(0)
        epistemic = -(mean * mean.log()).sum(-1) - aleatoric
        action = torch.where(
            epistemic > self.rule.reject_above, 2, (aleatoric > self.rule.defer_above).int()
        )
        rows = zip(action.tolist(), mean.tolist(), aleatoric.tolist(), epistemic.tolist())
        return [
            {"action": a, "probs": p, "aleatoric": al, "epistemic": ep} for a, p, al, ep in rows
        ]


def torch_lines(router: TorchRouter, batches: Iterator[tuple[list[str], list]]) -> list[str]:
    """A JSON line per picture."""
    out = []
    for paths, read in batches:
        faces = [face for face in read if not isinstance(face, str)]
        decided = iter(router(np.stack(faces)) if faces else [])
        out += [
            json.dumps(
                {"path": path, **({"error": face} if isinstance(face, str) else next(decided))}
            )
            for path, face in zip(paths, read)
        ]
    return out


def candidates(source: Path, run: Path, paths: list[str]) -> dict[str, Callable[[], object]]:
    """The three ways, each from paths to lines; the models are loaded once."""
    router = Router(source, "uar", batch_size=BATCH)
    torch_router = TorchRouter(run, router.rule)
    batches = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    read = [_read(path, router.side) for path in batches[0]]
    faces = np.stack([face for face in read if not isinstance(face, str)])
    for ours, theirs in zip(router(faces), torch_router(faces), strict=True):
        np.testing.assert_allclose(list(ours.probs.values()), theirs["probs"], atol=1e-3)

    def route() -> int:
        out = io.BytesIO()
        pipeline.route_items(router, sources.items(paths), records.Jsonl(), out)
        return len(out.getvalue().splitlines())

    def loop() -> int:
        decoded = ((batch, [_read(path, router.side) for path in batch]) for batch in batches)
        return len(torch_lines(torch_router, decoded))

    # Workers start once, in the run that is not counted, and by a server: a fork of JAX's threads
    # may hang.
    ahead = torch.utils.data.DataLoader(
        _Files(paths, router.side),
        BATCH,
        num_workers=2,
        collate_fn=list,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )

    def loader() -> int:
        return len(torch_lines(torch_router, zip(batches, ahead)))

    return {
        "ferjax route": route,
        "PyTorch loop": loop,
        "PyTorch loop, DataLoader of 2 workers": loader,
    }


def _cpu_seconds() -> float:
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="an evaluated run, or a file of ferjax export")
    parser.add_argument("pictures", type=Path, nargs="+", help="folders of pictures")
    parser.add_argument(
        "--run", type=Path, help="the run behind the file (default: the source itself)"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args(argv)
    paths = [item.path for item in sources.items(args.pictures)]
    print(describe(machine()))
    ways = candidates(args.source, args.run or args.source, paths)
    timings = interleave(ways, args.runs, clock=_cpu_seconds if args.cpu else time.perf_counter)
    baseline = timings["PyTorch loop"].median
    print(
        f"{len(paths)} files, batches of {BATCH}, median of {args.runs} (slowest to fastest), per "
        + ("CPU second" if args.cpu else "second")
    )
    for name, t in timings.items():
        slowest = len(paths) / t.high
        fastest = len(paths) / t.low
        print(
            f"  {name:40s} {len(paths) / t.median:8.0f} pictures ({slowest:.0f}-{fastest:.0f})   "
            f"{baseline / t.median:.2f} x the loop"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
