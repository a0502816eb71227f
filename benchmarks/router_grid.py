"""Counts of accept, defer and reject over a whole grid of thresholds, for three groups of faces.

    python -m benchmarks.router_grid [--quick] [--out FOLDER]

One million faces, 512 × 512 thresholds. ferjax counts; numpy counts too (searchsorted, bincount,
cumulative sums); the double loop looks at every face for every pair of thresholds and is
extrapolated from a few pairs. All counts must be equal, to the last unit: over the whole grid
against numpy, at the sampled pairs against the loop; for continuous scores, and for scores so
coarse that thousands of faces are tied with a threshold. The run stops if they are not.
"""

from typing import NamedTuple

import jax
import numpy as np

from benchmarks import results
from benchmarks.timing import interleave
from ferjax import routing

GROUPS = 3


class Faces(NamedTuple):
    """Scores and group of each face, and ascending thresholds."""

    aleatoric: np.ndarray
    epistemic: np.ndarray
    aleatoric_thresholds: np.ndarray
    epistemic_thresholds: np.ndarray
    groups: np.ndarray


def draw(faces: int, thresholds: int, tied: bool, seed: int = 0) -> Faces:
    """Random scores with thresholds at their quantiles; ``tied`` rounds both to two digits."""
    rng = np.random.default_rng(seed)
    scores = [rng.gamma(2.0, 0.3, faces), rng.gamma(1.0, 0.2, faces)]
    if tied:
        scores = [np.round(s, 2) for s in scores]
    scores = [s.astype(np.float32) for s in scores]
    axes = [np.quantile(s, np.linspace(0, 1, thresholds), method="nearest") for s in scores]
    return Faces(*scores, *axes, rng.integers(0, GROUPS, faces).astype(np.int32))


def count_numpy(f: Faces) -> np.ndarray:
    """``[action, group, T_a, T_e]`` by searchsorted, bincount and cumulative sums."""
    rows = len(f.aleatoric_thresholds) + 1
    columns = len(f.epistemic_thresholds) + 1
    row = np.searchsorted(f.aleatoric_thresholds, f.aleatoric, side="left")
    column = np.searchsorted(f.epistemic_thresholds, f.epistemic, side="left")
    cells = np.bincount(
        (f.groups * rows + row) * columns + column, minlength=GROUPS * rows * columns
    )
    below = cells.reshape(GROUPS, rows, columns).cumsum(1).cumsum(2)
    accept = below[:, :-1, :-1]
    kept = below[:, -1:, :-1]
    everyone = below[:, -1:, -1:]
    return np.stack([accept, kept - accept, np.broadcast_to(everyone - kept, accept.shape)])


def count_pair(f: Faces, i: int, j: int) -> np.ndarray:
    """``[action, group]`` at one pair of thresholds: the body of the double loop."""
    reject = f.epistemic > f.epistemic_thresholds[j]
    defer = ~reject & (f.aleatoric > f.aleatoric_thresholds[i])
    return np.stack(
        [np.bincount(f.groups[of], minlength=GROUPS) for of in (~reject & ~defer, defer, reject)]
    )


def check(f: Faces, ours: routing.Grid, pairs: list[tuple[int, int]]) -> None:
    """Holds the counts to numpy's and, at some pairs, to the double loop's.

    Raises:
      AssertionError: if one count differs by one.
    """
    counts = np.stack([np.asarray(part) for part in ours[:3]])
    np.testing.assert_array_equal(counts, count_numpy(f))
    for i, j in pairs:
        np.testing.assert_array_equal(counts[:, :, i, j], count_pair(f, i, j))


def run(found: results.Results) -> None:
    """Continuous and tied scores."""
    count = jax.jit(lambda f: routing.grid(*f[:4], groups=f.groups, num_groups=GROUPS))
    found.table(
        "counts of three groups over a grid",
        "scores",
        "faces",
        "thresholds",
        "counts",
        "ferjax, ms",
        "numpy, ms",
        "double loop, s (extrapolated)",
        "× numpy",
        "× double loop",
        "±",
    )
    for faces, thresholds in (
        ((1_000, 16),) if found.quick else ((10_000, 512), (100_000, 512), (1_000_000, 512))
    ):
        for tied in (False, True):
            drawn = draw(faces, thresholds, tied)
            on_device = jax.device_put(drawn)
            pairs = [
                tuple(pair)
                for pair in np.random.default_rng(1).integers(
                    0, thresholds, (4 if found.quick else 16, 2)
                )
            ]
            check(drawn, count(on_device), pairs)
            timings = interleave(
                {"ferjax": lambda f=on_device: count(f), "numpy": lambda f=drawn: count_numpy(f)},
                2 if found.quick else 9,
                limit=30,
                clock=found.clock,
            )
            began = found.clock()
            for pair in pairs:
                count_pair(drawn, *pair)
            loop = (found.clock() - began) / len(pairs) * thresholds**2
            kind = "tied" if tied else "continuous"
            found.timed(f"{kind} scores", faces, timings, "faces")
            ours = timings["ferjax"].median
            numpy = timings["numpy"].median
            found.row(
                kind,
                faces,
                f"{thresholds} × {thresholds}",
                "equal",
                1e3 * ours,
                1e3 * numpy,
                loop,
                numpy / ours,
                loop / ours,
                f"{max(t.spread for t in timings.values()):.0%}",
            )


if __name__ == "__main__":
    results.main(run, __doc__)
