"""Accept, defer or reject: the router's rule, threshold grids by counting, and routing curves.

A router takes any two scores, larger meaning more uncertain. Uncertainty-aware routing (UAR) gives
it aleatoric and epistemic uncertainty, in nats: reject if ``epistemic > τ_e``, an item too unlike
what the model has seen for any answer; else defer if ``aleatoric > τ_a``, where no label is likely
enough, so the whole distribution is given in place of one; else accept: the label stands.

Pure functions; jit them at your outermost call. Where thresholds come from:
:mod:`ferjax.conformal`. Reference: https://arxiv.org/abs/2606.22725, 2026.
"""

from ferjax.routing._curves import (
    Curve,
    Matched,
    curve_of,
    matched,
    outside_bins,
    retention_at,
    routing_auc,
    routing_curve,
)
from ferjax.routing._grid import Cell, Grid, best_cell, grid, pareto_front
from ferjax.routing._rule import ACTIONS, MEANINGS, RouterRule, decide, preferred, read_rules

__all__ = [
    "ACTIONS",
    "MEANINGS",
    "Cell",
    "Curve",
    "Grid",
    "Matched",
    "RouterRule",
    "best_cell",
    "curve_of",
    "decide",
    "grid",
    "matched",
    "outside_bins",
    "pareto_front",
    "preferred",
    "read_rules",
    "retention_at",
    "routing_auc",
    "routing_curve",
]
