"""Example items of each region of the plane, and of each out-of-distribution set."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.routing_results import Thresholds
from ferjax.report import html, plots

__all__ = ["Example", "ExampleGroup", "examples"]

COUNT = 6
"""Examples of each group."""


class Example(NamedTuple):
    """A picture as a ``data:`` address, and HTML about it."""

    uri: str
    text: str


class ExampleGroup(NamedTuple):
    """A title, and its examples."""

    title: str
    examples: list[Example]


def examples(
    conditions: Conditions, thresholds: Thresholds | None, images: Mapping[str, np.ndarray]
) -> list[ExampleGroup]:
    """The purest items of each region, and the first of each other set, where there are pictures.

    Args:
      conditions: of the evaluation.
      thresholds: regions are those of the paper's router; without, of the upper tenths.
      images: condition -> uint8 pictures ``[item, H, W]`` or ``[item, H, W, 3]``.
    """
    test = conditions.test
    groups: list[ExampleGroup] = []
    if "test" not in images:
        return groups
    aleatoric = np.asarray(test.scores["aleatoric"])
    epistemic = np.asarray(test.scores["epistemic"])
    if thresholds is None:
        limits = (float(np.quantile(aleatoric, 2 / 3)), float(np.quantile(epistemic, 0.95)))
    else:
        rule = thresholds.routers["uar"].rule
        limits = (float(rule.defer_above), float(rule.reject_above))
    unknown = epistemic > limits[1]
    ambiguous = (aleatoric > limits[0]) & ~unknown
    regions = {
        "Clear and in distribution: accepted": (~ambiguous & ~unknown, aleatoric),
        "Ambiguous: deferred": (ambiguous, -aleatoric),
        "High epistemic uncertainty: rejected": (unknown, -epistemic),
    }
    for title, (inside, order) in regions.items():
        chosen = np.flatnonzero(inside)
        chosen = chosen[np.argsort(order[chosen], kind="stable")[:COUNT]]
        if len(chosen):
            shown = [
                _example(test, images["test"], row, conditions.classes) for row in chosen.tolist()
            ]
            groups.append(ExampleGroup(title, shown))
    for c in conditions.ood:
        if c.name in images:
            first = range(min(COUNT, c.items))
            shown = [_example(c, images[c.name], row, conditions.classes) for row in first]
            groups.append(ExampleGroup(f"From the set {c.name.replace('_', ' ')}", shown))
    return groups


def _example(c: Condition, images: np.ndarray, row: int, classes: tuple[str, ...]) -> Example:
    def likeliest(shares: np.ndarray) -> str:
        order = [k for k in np.argsort(-shares, kind="stable")[:2] if shares[k] > 0.005]
        return ", ".join(f"{html.escape(classes[k])} {shares[k]:.0%}" for k in order)

    text = f"model: <b>{likeliest(np.exp(c.mean_log_probs[row]))}</b><br>"
    if c.people is not None and c.people.counts[row].sum():
        text += f"people: {likeliest(c.people.q[row])}<br>"
    aleatoric = float(c.scores["aleatoric"][row])
    epistemic = float(c.scores["epistemic"][row])
    return Example(plots.picture_uri(images[row]), f"{text}al {aleatoric:.2f} · ep {epistemic:.3f}")
