"""What an array of predictions holds: probabilities, log-probabilities or logits; never a guess.

An array that says nothing of itself is recognised by the sums of its rows. Every row must agree: an
array of which some rows are one thing and some are not is refused, naming the first that is not. So
are scales that would pass for logits: percentages, counts, logarithms to base 2 or 10, and negative
logarithms.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["KINDS", "split_alpha", "to_log_probs"]

KINDS = {
    "log_probs": "log_probs",
    "probs": "probs",
    "probabilities": "probs",
    "logits": "logits",
    "alpha": "alpha",
}
"""Name of an array -> what it holds."""

TOLERANCE = 1e-2
"""How far a row's sum may be from 1."""
SHARE = 0.2
"""Share of rows from which on a pattern is no coincidence."""
_BLOCK = 2**20
"""Numbers that are looked at together."""

_REFUSED = {
    "log2_probs": ("logarithms of probabilities to base 2", "multiply by np.log(2)"),
    "log10_probs": ("logarithms of probabilities to base 10", "multiply by np.log(10)"),
    "negative_log_probs": ("negative logarithms of probabilities", "multiply by -1"),
    "scaled": ("probabilities on another scale, such as percentages", "divide by the sums"),
}
"""Kinds that are recognised and not read: what they are, and what to do about it."""
_WORDS = {"probs": "probabilities", "log_probs": "log-probabilities"}


class _Rows(NamedTuple):
    """Of one kind: how many rows agree, and the first that does not."""

    number: int
    first: int | None


def split_alpha(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of Dirichlet distributions as mean and concentration.

    Args:
      alpha: ``[member, item, class]`` or ``[item, class]`` >= 0, some of each item positive.

    Returns:
      Log-probabilities ``[member, item, class]`` of the mean, and ``log sum_c α_c [member, item]``,
      float64 and float32.

    Raises:
      ValueError: naming the first member and item whose parameters are none.

    >>> log_probs, log_concentration = split_alpha(np.array([[1.0, 3.0]]))
    >>> np.exp(log_probs).tolist(), np.exp(log_concentration).round(5).tolist()
    ([[[0.25, 0.75]]], [[4.0]])
    """
    alpha = np.asarray(alpha)
    if alpha.dtype.kind not in "iuf" or alpha.ndim not in (2, 3):
        raise ValueError(
            f"alpha must be numbers [member, item, class] or [item, class], got {alpha.dtype} "
            f"{alpha.shape}"
        )
    alpha = alpha.astype(np.float64).reshape(-1, *alpha.shape[-2:])
    total = alpha.sum(-1)
    bad = ~((alpha >= 0).all(-1) & (total > 0) & np.isfinite(total))
    if bad.any():
        member, item = np.argwhere(bad)[0]
        raise ValueError(
            f"alpha of member {member}, item {item} must be >= 0, finite and not all 0, got "
            f"{alpha[member, item].tolist()}"
        )
    with np.errstate(divide="ignore"):
        log_probs = np.log(alpha / total[..., None])
    return log_probs, np.log(total).astype(np.float32)


def to_log_probs(values: np.ndarray, kind: str | None = None) -> tuple[np.ndarray, str]:
    """Turns an array into member log-probabilities.

    Args:
      values: ``[member, item, class]`` or ``[item, class]``.
      kind: log_probs, probs or logits; recognised from the sums over classes unless given.

    Returns:
      float32 log-probabilities ``[member, item, class]``, and the kind.

    Raises:
      ValueError: if the array is not of that kind, could be of more than one, or is on a scale that
        is not read; names the first bad row.

    >>> to_log_probs(np.array([[0.25, 0.75]]))[1]
    'probs'
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"predictions must be floating point, got {values.dtype}")
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[-1] < 2 or 0 in values.shape:
        raise ValueError(
            "predictions must be [member, item, class] or [item, class] with at least one member, "
            f"one item and two classes, got {values.shape}"
        )
    rows = values.reshape(-1, values.shape[-1])
    _refuse_not_a_number(rows, values.shape)
    found = _count(rows)
    if kind is None:
        kind = _recognised(rows, found, values.shape)
    else:
        _require(rows, found, kind, values.shape)
    result = np.empty(rows.shape, np.float32)
    for part, block in _blocks(rows):
        result[part] = _normalised(block, kind)
    return result.reshape(values.shape), kind


def _blocks(rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices and their rows in float64, few at a time."""
    size = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield part, rows[part].astype(np.float64)


def _place(row: int, shape: tuple[int, ...]) -> str:
    member, item = divmod(row, shape[1])
    return f"member {member}, item {item}"


def _refuse_not_a_number(rows: np.ndarray, shape: tuple[int, ...]) -> None:
    for part, block in _blocks(rows):
        bad = np.isnan(block).any(-1)
        if bad.any():
            place = _place(part.start + int(np.argmax(bad)), shape)
            raise ValueError(f"predictions of {place} are not numbers")
        bad = np.isposinf(block).any(-1) | np.isneginf(block).all(-1)
        if bad.any():
            place = _place(part.start + int(np.argmax(bad)), shape)
            raise ValueError(f"predictions of {place} hold infinities that leave no distribution")


def _count(rows: np.ndarray) -> dict[str, _Rows]:
    """For every kind that sums tell, which rows are of it."""
    sums = np.concatenate([block.sum(-1) for _, block in _blocks(rows)])
    usual = float(np.median(sums))
    matches: dict[str, list[np.ndarray]] = {}
    for _, block in _blocks(rows):
        for kind, of in _matching(block, usual).items():
            matches.setdefault(kind, []).append(of)
    found = {}
    for kind, parts in matches.items():
        matching = np.concatenate(parts)
        first = None if matching.all() else int(np.argmin(matching))
        found[kind] = _Rows(int(matching.sum()), first)
    return found


def _matching(block: np.ndarray, usual: float) -> dict[str, np.ndarray]:
    """Which rows could be of each kind, bool ``[row]``."""
    sums = block.sum(-1)
    positive = (block >= -1e-6).all(-1)
    negative = (block <= 1e-4).all(-1)

    def sums_to_one(base: float, sign: float) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.exp(sign * block * np.log(base)).sum(-1)
        return np.abs(total - 1) < TOLERANCE

    scaled = np.zeros(len(block), bool)
    if np.isfinite(usual) and usual > 0 and abs(usual - 1) >= TOLERANCE:
        scaled = positive & (np.abs(sums - usual) < TOLERANCE * usual)
    return {
        "probs": positive & (np.abs(sums - 1) < TOLERANCE),
        "log_probs": negative & sums_to_one(np.e, 1),
        "log2_probs": negative & sums_to_one(2, 1),
        "log10_probs": negative & sums_to_one(10, 1),
        "negative_log_probs": (block >= -1e-4).all(-1) & sums_to_one(np.e, -1),
        "scaled": scaled,
    }


def _recognised(rows: np.ndarray, found: Mapping[str, _Rows], shape: tuple[int, ...]) -> str:
    """What an array without a name holds."""
    for kind in ("probs", "log_probs"):
        if found[kind].first is None:
            return kind
    likeliest = max(found, key=lambda kind: found[kind].number)
    rare = found[likeliest].number < SHARE * len(rows)
    if (rare or likeliest == "scaled") and rows.min() >= 0 and rows.max() <= 1:
        raise ValueError(
            "predictions lie in [0, 1] but do not sum to 1: say what they are, "
            "np.savez(path, logits=...) or probs=..."
        )
    if rare:
        return "logits"
    first = found[likeliest].first
    if likeliest in _REFUSED:
        _refuse_scale(likeliest, found[likeliest].number, len(rows))
    assert first is not None
    raise ValueError(
        f"predictions of {found[likeliest].number:,} of {len(rows):,} rows are "
        f"{_WORDS[likeliest]}, those of {_place(first, shape)} are not (they sum to "
        f"{_sum(rows[first], likeliest):.4g}); mend them, or say what they are: "
        "np.savez(path, logits=...)"
    )


def _refuse_scale(kind: str, count: int, rows: int) -> None:
    what, remedy = _REFUSED[kind]
    raise ValueError(f"predictions look like {what} ({count:,} of {rows:,} rows); {remedy}")


def _sum(row: np.ndarray, kind: str) -> float:
    values = row.astype(np.float64)
    return float(values.sum() if kind == "probs" else np.exp(values).sum())


def _require(
    rows: np.ndarray, found: Mapping[str, _Rows], kind: str, shape: tuple[int, ...]
) -> None:
    """Holds an array to what its name says."""
    if kind in ("probs", "log_probs"):
        first = found[kind].first
        if first is None:
            return
        sum_of = f"{_place(first, shape)} sum to {_sum(rows[first], kind):.4g}"
        if kind == "probs":
            raise ValueError(f"probabilities of {sum_of} (or are negative), expected 1")
        raise ValueError(
            f"log-probabilities of {sum_of} after exp, expected 1 (and none above 0); if they are "
            "not normalised, they are logits"
        )
    if len(rows) < 3:  # two rows may sum to anything by chance
        return
    if found["probs"].first is None:
        raise ValueError(
            "predictions named logits are probabilities, every row sums to 1; name them probs"
        )
    for other in _REFUSED:
        if found[other].first is None:
            _refuse_scale(other, len(rows), len(rows))


def _normalised(block: np.ndarray, kind: str) -> np.ndarray:
    if kind == "probs":
        with np.errstate(divide="ignore"):
            block = np.log(np.maximum(block, 0))
    block = block - block.max(-1, keepdims=True)
    return block - np.log(np.exp(block).sum(-1, keepdims=True))
