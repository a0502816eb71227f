"""Example items of each region of the plane, and of each out-of-distribution set."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.routing_results import Thresholds
from ferjax.evaluation.scores import label
from ferjax.report import html, plots
from ferjax.report.words import percent
from ferjax.routing import MEANINGS

__all__ = ["Example", "ExampleGroup", "examples"]

COUNT = 6
"""Examples of each group."""


class Example(NamedTuple):
    """A picture as a ``data:`` address, and HTML about it."""

    uri: str
    text: str


class ExampleGroup(NamedTuple):
    """A title, its examples, and what the router does with them, where that is one thing."""

    title: str
    examples: list[Example]
    action: str = ""


def examples(
    conditions: Conditions, thresholds: Thresholds | None, images: Mapping[str, np.ndarray]
) -> list[ExampleGroup]:
    """The purest items of each region, and the first of each other set, where there are pictures.

    Args:
      conditions: of the evaluation.
      thresholds: regions are those of the default router; without, of the upper tenths.
      images: condition -> uint8 pictures ``[item, H, W]`` or ``[item, H, W, 3]``.
    """
    test = conditions.test
    groups: list[ExampleGroup] = []
    if "test" not in images:
        return groups
    read = ("aleatoric", "epistemic")
    if thresholds is not None:
        read = (thresholds.rule.defer, thresholds.rule.reject)
    defer, reject = (np.asarray(test.scores[name]) for name in read)
    if thresholds is None:
        limits = (float(np.quantile(defer, 2 / 3)), float(np.quantile(reject, 0.95)))
    else:
        limits = (float(thresholds.rule.defer_above), float(thresholds.rule.reject_above))
    unknown = reject > limits[1]
    ambiguous = (defer > limits[0]) & ~unknown
    regions = {
        f"Accepted: {MEANINGS['accept']}": ("accept", ~ambiguous & ~unknown, defer),
        f"Deferred: {MEANINGS['defer']}": ("defer", ambiguous, -defer),
        f"Rejected: {MEANINGS['reject']}": ("reject", unknown, -reject),
    }
    for title, (action, inside, order) in regions.items():
        chosen = np.flatnonzero(inside)
        chosen = chosen[np.argsort(order[chosen], kind="stable")[:COUNT]]
        if len(chosen):
            shown = [
                _example(test, images["test"], row, conditions.classes, read)
                for row in chosen.tolist()
            ]
            groups.append(ExampleGroup(title, shown, action))
    for c in conditions.ood:
        if c.name in images:
            first = range(min(COUNT, c.items))
            shown = [_example(c, images[c.name], row, conditions.classes, read) for row in first]
            groups.append(ExampleGroup(f"From the set {c.name.replace('_', ' ')}", shown))
    return groups


def _example(
    c: Condition, images: np.ndarray, row: int, classes: tuple[str, ...], read: tuple[str, str]
) -> Example:
    text = f"<b>{_likeliest(np.exp(c.mean_log_probs[row]), classes)}</b><br>"
    text += f"{_people(c, row, classes)}<br>"
    defer, reject = read
    text += f"{label(defer)} {float(c.scores[defer][row]):.2f}<br>"
    text += f"{label(reject).split(' (')[0]} {float(c.scores[reject][row]):.3g}"
    return Example(plots.picture_uri(images[row]), text)


def _likeliest(shares: np.ndarray, classes: tuple[str, ...]) -> str:
    order = [k for k in np.argsort(-shares, kind="stable")[:2] if shares[k] > 0.005]
    return ", ".join(f"{html.escape(classes[k])} {percent(shares[k])}" for k in order)


def _people(c: Condition, row: int, classes: tuple[str, ...]) -> str:
    """What people said; of an item that most of them gave no class, just that."""
    if c.people is None:
        return ""
    if c.people.counts is None:
        return f"people: {_likeliest(c.people.q[row], classes)}"
    named = int(c.people.counts[row].sum())
    abstentions = c.predictions.abstentions
    unnamed = 0 if abstentions is None else int(np.sum(abstentions[row]))
    if unnamed >= named:
        return f"people: {unnamed} of {named + unnamed} named no class" if unnamed else ""
    return f"people: {_likeliest(c.people.q[row], classes)}"
