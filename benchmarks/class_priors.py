"""Class priors on the predictions of a run: balanced accuracy, and accuracy under label shift.

    python -m benchmarks.class_priors RUN/predictions

Prints accuracy and balanced accuracy of the clean test items under the training prior, its square
root and the uniform one; then, for three severities of simulated label shift (test items drawn
anew, so that the classes' shares move from those of the test split to their reverse order), the
accuracy under the training prior, under the prior estimated without labels, and under the true one.
Nothing is trained, and no file is changed.
"""

import argparse
from pathlib import Path

import numpy as np

from ferjax import metrics, priors, uncertainty
from ferjax.evaluation import class_priors, prior_estimate
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment

SEVERITIES = {"none": 0.0, "mild": 0.3, "middling": 0.6, "strong": 1.0}
"""How far the shares move towards their reverse order."""
ITEMS = 1500
DRAWS = 3


def figures(
    log_probs: np.ndarray, labels: np.ndarray, adjustment: Adjustment
) -> tuple[float, float]:
    """Accuracy and balanced accuracy of the ensemble's mean under a prior."""
    mean = np.asarray(uncertainty.mean_log_probs(adjustment.apply(log_probs)))
    return float(metrics.accuracy(mean, labels)), float(metrics.balanced_accuracy(mean, labels))


def drawn_to(shares: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows drawn with repetition, so that the classes have these shares."""
    counts = rng.multinomial(ITEMS, shares)
    rows = [rng.choice(np.flatnonzero(labels == c), n) for c, n in enumerate(counts) if n]
    return np.concatenate(rows)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("predictions", type=Path, help="folder with valid.npz and test.npz")
    folder = parser.parse_args().predictions
    valid = Predictions.load(folder / "valid.npz")
    test = Predictions.load(folder / "test.npz")
    said = prior_estimate.vote_shares(test)
    shares_of_valid = prior_estimate.vote_shares(valid)
    assert said is not None and shares_of_valid is not None
    training = priors.training_prior(shares_of_valid)
    classes = test.classes or tuple(map(str, range(test.log_probs.shape[2])))
    labels = said.argmax(1)
    log_probs = np.asarray(test.log_probs, np.float32)
    print("| prior | accuracy | balanced accuracy |\n|---|---|---|")
    for name in ("training", "sqrt", "uniform"):
        found = figures(log_probs, labels, class_priors.choose(name, training, classes))
        print(f"| {name} | {found[0]:.3f} | {found[1]:.3f} |")
    print("\n| label shift | training prior | estimated | true prior | refused |")
    print("|---|---|---|---|---|")
    own = np.bincount(labels, minlength=len(classes)) / len(labels)
    own = np.maximum(own, 1e-3) / np.maximum(own, 1e-3).sum()
    target = np.empty_like(own)
    target[np.argsort(own)] = np.sort(own)[::-1]
    for severity, amount in SEVERITIES.items():
        shares = (1 - amount) * own + amount * target
        print(_row(severity, shares / own, shares, log_probs, labels, training, valid))


def _row(
    severity: str,
    change: np.ndarray,
    shares: np.ndarray,
    log_probs: np.ndarray,
    labels: np.ndarray,
    training: tuple[float, ...],
    valid: Predictions,
) -> str:
    """Means over draws; those that the label-shift test refuses keep the training prior."""
    before = Adjustment.of("training", training, training)
    known = Adjustment.of("true", training, np.asarray(training) * change)
    made = []
    refused = 0
    for draw in range(DRAWS):
        rows = drawn_to(shares, labels, np.random.default_rng(draw))
        try:
            found = prior_estimate.estimated(log_probs[:, rows], valid, training, seed=draw)
        except ValueError:
            found = before
            refused += 1
        made.append(
            [figures(log_probs[:, rows], labels[rows], a)[0] for a in (before, found, known)]
        )
    mean = np.mean(made, axis=0)
    cells = " | ".join(f"{value:.3f}" for value in mean)
    return f"| {severity} | {cells} | {refused} of {DRAWS} |"


if __name__ == "__main__":
    main()
