"""The figures of the model card of the model that comes with ferjax.

    python -m benchmarks.shipped RUN [FILE]

RUN is the evaluated run that FILE was exported from (the shipped model unless given). Prints, as
Markdown: what the file decides on the test faces of the run's data set, by class; and from the
run's evaluation what its default router rejects under harmless changes, corruptions and of other
sets. Nothing is trained, and no file is changed.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ferjax import metrics
from ferjax.ensemble.folder import RunFolder
from ferjax.faces import dataset
from ferjax.faces.dataset import Faces
from ferjax.routing import ACTIONS
from ferjax.serving import archive
from ferjax.serving.router import Router
from ferjax.serving.shipped import MODEL

BATCH = 256


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def decided(router: Router, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """The file's probabilities ``[face, class]``, and its actions ``[face]``."""
    decisions = router(faces.images)
    probs = np.array([[d.probs[name] for name in router.classes] for d in decisions])
    return probs, np.array([d.action for d in decisions])


def of_test(router: Router, faces: Faces) -> Iterator[str]:
    """What the file says of the test faces, as a whole and by class."""
    probs, actions = decided(router, faces)
    label = faces.q.argmax(-1)
    right = probs.argmax(-1) == label
    log_probs = np.log(np.maximum(probs, 1e-6))
    balanced = float(metrics.balanced_accuracy(log_probs, label))
    yield (
        f"Of {len(label):,} test faces the file names the most frequent vote of {right.mean():.3f} "
        f"(mean over classes {balanced:.3f})."
    )
    rows = [
        [name, f"{inside.mean():.3f}", f"{right[inside].mean():.3f}"]
        + [f"{(actions[inside] == action).mean():.3f}" for action in ACTIONS]
        + [f"{right[inside & (actions == 'accept')].mean():.3f}"]
        for name, inside in (
            *((name, label == c) for c, name in enumerate(router.classes)),
            ("all", np.ones(len(label), bool)),
        )
    ]
    head = ["most frequent vote", "share", "right", *ACTIONS, "right where accepted"]
    yield table(head, rows)


def of_shift(evaluation: dict[str, Any], router: str) -> Iterator[str]:
    """What the router rejects of every condition of the evaluation."""
    rows = [
        [
            name.replace("_", " "),
            of["kind"],
            f"{of['accuracy']:.3f}" if of["accuracy"] == of["accuracy"] else "–",
            f"{of['rejected'][router]:.3f}",
        ]
        for name, of in evaluation["harm"]["conditions"].items()
    ]
    yield table(["condition", "kind", "accuracy", "rejected"], rows)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="an evaluated run")
    parser.add_argument("file", type=Path, nargs="?", default=MODEL, help="exported from it")
    options = parser.parse_args()
    program = archive.load(options.file)
    print(f"{options.file.name}, {options.file.stat().st_size / 1e6:.1f} MB, {program.digest}\n")
    data = dataset.load(RunFolder(options.run).config().data)
    router = Router(options.file, batch_size=BATCH)
    evaluation = json.loads((options.run / "evaluation.json").read_text())
    for part in (*of_test(router, data["test"]), *of_shift(evaluation, router.name)):
        print(part + "\n")


if __name__ == "__main__":
    main()
