"""Pictures of an evaluation, of corruptions, of decided items, and of training runs."""

import numpy as np

from ferjax.evaluation.conditions import Condition, Conditions
from ferjax.evaluation.results import Evaluation
from ferjax.evaluation.thresholds import actions
from ferjax.report.plots._figure import Figure, data_uri, picture_uri, save
from ferjax.report.plots._pictures import corruption_sheet
from ferjax.report.plots._quality import contributions, reliability, selective, sensitivity
from ferjax.report.plots._routing import Panel, plane, routing_curves
from ferjax.report.plots._scores import corruption_curves, cross, deciles, severity_curves
from ferjax.report.plots._training import training_curves
from ferjax.report.plots._wall import WallTile, decision_wall
from ferjax.routing import RouterRule

__all__ = [
    "WallTile",
    "corruption_sheet",
    "data_uri",
    "decision_wall",
    "figures",
    "picture_uri",
    "save",
    "training_curves",
]


def figures(e: Evaluation, conditions: Conditions) -> dict[str, Figure]:
    """Every figure that an evaluation allows, by name."""
    rule = None if e.thresholds is None else e.thresholds.rule
    drawn = {
        "deciles": deciles(e.disagreement),
        "reliability": reliability(e.quality),
        "selective": selective(e.selective),
        "sensitivity": sensitivity(e.ensemble_size.sizes),
        "contributions": contributions(e.ensemble_size.contributions),
        "plane": plane(_panels(conditions, rule), rule),
    }
    if conditions.corrupted:
        drawn |= {
            "severity": severity_curves(e.shift),
            "corruptions": corruption_curves(e.shift),
            "cross": cross(e),
            "routing": routing_curves(e.matched),
        }
    return drawn


def _panels(conditions: Conditions, rule: RouterRule | None) -> dict[str, Panel]:
    sets: dict[str, list[Condition]] = {"clean test items": [conditions.test]}
    if conditions.corrupted:
        sets["corrupted, all severities"] = list(conditions.corrupted)
    sets |= {c.name.replace("_", " "): [c] for c in conditions.ood}
    return {title: _panel(inside, rule) for title, inside in sets.items()}


def _panel(conditions: list[Condition], rule: RouterRule | None) -> Panel:
    names = ("aleatoric", "epistemic") if rule is None else (rule.defer, rule.reject)
    ambiguous, unknown = (
        np.concatenate([np.asarray(c.scores[name]) for c in conditions]) for name in names
    )
    action = np.zeros(len(ambiguous), int)
    if rule is not None:
        action = np.concatenate([actions(c, rule) for c in conditions])
    return Panel(ambiguous, unknown, action)
