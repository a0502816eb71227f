"""Bootstrap intervals: ferjax against plain numpy, and against scipy.stats.bootstrap.

    python -m benchmarks.bootstrap [--quick] [--out FOLDER]

AUROC: numpy draws multinomial weights, sorts once and sums over tie groups, resample by resample in
one array: the same idea, so this compares implementations. Spearman:
scipy.stats.bootstrap(paired=True) calls a statistic on drawn faces, which ranks them anew each
time; once with scipy.stats.spearmanr, once with a vectorised rankdata, its fastest form. Everyone
draws their own resamples within the time. Scores are heavily tied, as human disagreement is. Before
anything is timed the statistics must agree to 1e-5, and the ends of the intervals to five standard
errors of their difference: resamples are drawn differently on the two sides.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from benchmarks import results
from benchmarks.timing import interleave
from ferjax import bootstrap, metrics

LEVELS = (0.025, 0.975)


def draw(faces: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two related scores ``[face]``, tied (26 levels in the second), and labels that follow."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=faces)
    first = np.round(signal + rng.normal(size=faces), 2).astype(np.float32)
    second = np.clip(np.round(4 * (signal + rng.normal(size=faces))), -12, 13).astype(np.float32)
    return first, second, second > 3


def numpy_auroc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC of every row of ``weights [resample, face]``."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    positive = labels[order]
    weights = weights[:, order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    negatives = np.add.reduceat(np.where(positive, 0, weights), starts, axis=1)
    positives = np.add.reduceat(np.where(positive, weights, 0), starts, axis=1)
    beaten = positives * (negatives.cumsum(1) - negatives / 2)
    return beaten.sum(1) / (positives.sum(1) * negatives.sum(1))


def numpy_interval(scores: np.ndarray, labels: np.ndarray, resamples: int) -> np.ndarray:
    """``(value, low, high)`` of the AUROC."""
    faces = len(scores)
    weights = np.random.default_rng(1).multinomial(faces, np.full(faces, 1 / faces), size=resamples)
    value = numpy_auroc(scores, labels, np.ones((1, faces), int))[0]
    return np.array([value, *np.quantile(numpy_auroc(scores, labels, weights), LEVELS)])


def scipy_interval(x: np.ndarray, y: np.ndarray, resamples: int, vectorised: bool) -> np.ndarray:
    """``(value, low, high)`` of Spearman's correlation."""
    from scipy import stats

    def all_rows(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        def centred_ranks(values: np.ndarray) -> np.ndarray:
            ranks = stats.rankdata(values, axis=axis)
            return ranks - ranks.mean(axis, keepdims=True)

        rx = centred_ranks(x)
        ry = centred_ranks(y)
        return (rx * ry).sum(axis) / np.sqrt((rx**2).sum(axis) * (ry**2).sum(axis))

    def one_row(x: np.ndarray, y: np.ndarray) -> float:
        return stats.spearmanr(x, y).statistic

    statistic = all_rows if vectorised else one_row
    result = stats.bootstrap(
        (x, y),
        statistic,
        n_resamples=resamples,
        paired=True,
        vectorized=vectorised,
        method="percentile",
        batch=256 if vectorised else None,
        rng=1,
    )
    return np.array([statistic(x, y), *result.confidence_interval])


def check(ours: Any, theirs: np.ndarray, resamples: int) -> None:
    """Raises AssertionError where statistics or intervals do not agree."""
    ours = np.array([float(v) for v in ours])
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
    # A 2.5 % quantile of R normal draws has standard error 2.67 σ / √R; a 95 % interval is 3.92 σ
    # wide.
    error = np.sqrt(2) * 2.67 / 3.92 / np.sqrt(resamples)
    np.testing.assert_allclose(ours[1:], theirs[1:], atol=5 * error * (theirs[2] - theirs[1]))


def interval(
    statistic: Callable, first: np.ndarray, second: np.ndarray, resamples: int
) -> Callable[[], bootstrap.Estimate]:
    """ferjax's way as a call: weights, resampled statistic and interval in one program."""
    on_device = jax.device_put((first, second))
    key = jax.random.key(0)

    @jax.jit
    def program(first: jax.Array, second: jax.Array, key: jax.Array) -> bootstrap.Estimate:
        weights = bootstrap.resample_weights(key, len(first), resamples)
        return bootstrap.estimate(lambda w: statistic(first, second, w), weights)

    return lambda: program(*on_device, key)


def candidates(faces: int, resamples: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """Statistic -> name -> call; ferjax comes first. Without scipy there is no Spearman."""
    x, y, labels = draw(faces)
    calls: dict[str, dict[str, Callable[[], Any]]] = {
        "AUROC": {
            "ferjax": interval(metrics.auroc, x, labels, resamples),
            "numpy, sort once": lambda: numpy_interval(x, labels, resamples),
        }
    }
    if find_spec("scipy"):
        calls["Spearman"] = {
            "ferjax": interval(metrics.spearman, x, y, resamples),
            "scipy.stats.bootstrap, spearmanr": lambda: scipy_interval(x, y, resamples, False),
            "scipy.stats.bootstrap, vectorised": lambda: scipy_interval(x, y, resamples, True),
        }
    return calls


def run(found: results.Results) -> None:
    """AUROC and Spearman, over the number of resamples."""
    if not find_spec("scipy"):
        found.say("\nscipy is not installed (pip install '.[peers]'): Spearman is left out")
    faces = 300 if found.quick else 3_563
    found.table(
        f"95 % intervals of {faces:,} faces",
        "statistic",
        "resamples",
        "ferjax, ms",
        "peer",
        "peer, ms",
        "ratio",
        "±",
    )
    for resamples in (500,) if found.quick else (500, 2_000, 10_000):
        for statistic, calls in candidates(faces, resamples).items():
            ours, *peers = calls
            for peer in peers:
                check(calls[ours](), calls[peer](), resamples)
            timings = interleave(calls, 2 if found.quick else 7, limit=40, clock=found.clock)
            found.timed(statistic, resamples, timings, "resamples")
            for peer in peers:
                found.row(
                    statistic,
                    resamples,
                    1e3 * timings[ours].median,
                    peer,
                    1e3 * timings[peer].median,
                    timings[peer].median / timings[ours].median,
                    f"{max(timings[peer].spread, timings[ours].spread):.0%}",
                )


if __name__ == "__main__":
    results.main(run, __doc__)
