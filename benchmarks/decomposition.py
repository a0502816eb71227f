"""Decomposition of M members' uncertainty of N faces: ferjax against PyTorch and numpy.

    python -m benchmarks.decomposition [--quick] [--out FOLDER]

All begin with the same float32 log-probabilities of C classes and end with three arrays of N:
total, aleatoric, epistemic. PyTorch uses torch.special.entr, as its users do; numpy the formulas.
"share of a copy" is the time to copy the log-probabilities once over the time to decompose them:
100 % is as fast as memory allows. The results are compared before anything is timed.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import results
from benchmarks.timing import copy_seconds, interleave
from ferjax import uncertainty

SIZES = ((5, 3_563, 8), (5, 100_000, 8), (10, 100_000, 8), (10, 1_000_000, 8))


def candidates(log_probs: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Ways to decompose ``log_probs [member, face, class]``: name -> call of the three parts."""
    on_device = jax.device_put(log_probs)
    decompose = jax.jit(uncertainty.decompose)

    def in_numpy() -> Any:
        probs = np.exp(log_probs)
        mean = probs.mean(0)
        total = -(mean * np.log(mean)).sum(-1)
        aleatoric = -(probs * log_probs).sum(-1).mean(0)
        return total, aleatoric, total - aleatoric

    calls: dict[str, Callable[[], Any]] = {
        "ferjax": lambda: decompose(on_device)[:3],
        "numpy": in_numpy,
    }
    try:
        import torch
    except ImportError:
        return calls
    tensor = torch.from_numpy(log_probs).to("cuda" if torch.cuda.is_available() else "cpu")

    def in_torch() -> Any:
        probs = tensor.exp()
        total = torch.special.entr(probs.mean(0)).sum(-1)
        aleatoric = torch.special.entr(probs).sum(-1).mean(0)
        if tensor.is_cuda:
            torch.cuda.synchronize()
        return total, aleatoric, total - aleatoric

    return calls | {"torch.special.entr": in_torch}


def log_softmax(members: int, faces: int, classes: int) -> np.ndarray:
    """Log-probabilities of random logits."""
    return np.array(
        jax.nn.log_softmax(3 * jax.random.normal(jax.random.key(0), (members, faces, classes)))
    )


def check(calls: dict[str, Callable[[], Any]]) -> None:
    """Holds every way to the first one, to 2e-4 nats.

    In one run beside other work an exponential of another library was off by 5e-5; why is unknown.

    Raises:
      AssertionError: if they do not compute the same.
    """
    first, *others = (
        [np.asarray(part.cpu() if hasattr(part, "cpu") else part) for part in call()]
        for call in calls.values()
    )
    for other in others:
        np.testing.assert_allclose(other, first, atol=2e-4)


def run(found: results.Results) -> None:
    """The sizes, one by one."""
    found.table(
        "seconds to decompose",
        "M × N × C",
        "ferjax, ms",
        "numpy, ms",
        "torch.special.entr, ms",
        "× numpy",
        "× torch",
        "ferjax, GB/s",
        "share of a copy",
        "±",
    )
    for shape in ((3, 1_000, 8),) if found.quick else SIZES:
        log_probs = log_softmax(*shape)
        calls = candidates(log_probs)
        check(calls)
        timings = interleave(calls, 2 if found.quick else 9, limit=60, clock=found.clock)
        found.timed(f"M = {shape[0]}", shape[1], timings, "faces")
        ours = timings["ferjax"].median
        numpy = timings["numpy"].median
        torch = timings["torch.special.entr"].median if "torch.special.entr" in timings else None
        found.row(
            " × ".join(f"{n:,}" for n in shape),
            1e3 * ours,
            1e3 * numpy,
            torch and 1e3 * torch,
            numpy / ours,
            torch and torch / ours,
            log_probs.nbytes / ours / 1e9,
            f"{copy_seconds(log_probs.nbytes) / ours:.0%}",
            f"{max(t.spread for t in timings.values()):.0%}",
        )


if __name__ == "__main__":
    results.main(run, __doc__)
