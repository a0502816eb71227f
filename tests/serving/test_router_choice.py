"""Which routers there are, and which cannot decide."""

import json
import math

import numpy as np
import pytest

from ferjax import Router
from ferjax.routing import RouterRule
from ferjax.serving.router_choice import (
    cannot_reject,
    rejects_of,
    require_router,
    stored_routers,
)
from ferjax.serving.shipped import MODEL

SINGLE = {"uar": ("epistemic", 0.0), "paper": ("between", 0.0), "density": ("ood_density", -2.0)}


def test_an_unknown_router_is_refused_with_what_each_does():
    with pytest.raises(
        ValueError, match=r"no router 'papr'; there are uar, paper, density\n"
    ) as of:
        require_router("papr", SINGLE)
    for line in ("  uar: rejects by epistemic", "  paper: rejects by how members disagree"):
        assert line in str(of.value)
    with pytest.raises(ValueError, match=r"not here: error: .*--fit-corruptions"):
        require_router("error", SINGLE)


@pytest.mark.parametrize("name", ["uar", "paper"])
def test_what_cannot_reject_is_refused_where_another_can(name):
    with pytest.raises(ValueError, match=f"router '{name}' cannot reject here.* take 'density'"):
        require_router(name, SINGLE)
    require_router("density", SINGLE)
    require_router(None, SINGLE)
    # Where none can there is nothing better to take.
    require_router(name, {name: SINGLE[name]})


def test_thresholds_say_what_can_reject():
    rules = {
        "uar": RouterRule(1.0, 0.0),
        "density": RouterRule(1.0, np.array([-1.0, -2.0]), "total", "ood_density"),
        "few": RouterRule(1.0, math.inf),
    }
    found = rejects_of(rules)
    assert found["density"] == ("ood_density", -1.0)
    assert {name: cannot_reject(of) for name, of in found.items()} == {
        "uar": True,
        "density": False,
        "few": False,
    }


def test_files_name_their_routers_without_being_opened(tmp_path):
    assert set(stored_routers(MODEL)) >= {"uar", "paper", "density"}
    (tmp_path / "thresholds.json").write_text(
        json.dumps({"routers": {"uar": RouterRule(1.0, math.inf).to_json()}})
    )
    assert stored_routers(tmp_path) == {"uar": ("epistemic", math.inf)}
    (tmp_path / "thresholds.json").write_text('{"aleatoric": 1.0, "epistemic": 0.1}')
    assert stored_routers(tmp_path) == {} == stored_routers(tmp_path / "absent")


def test_a_single_network_refuses_the_router_of_members_from_python_too():
    with pytest.raises(ValueError, match="router 'paper' cannot reject here.* take 'density'"):
        Router(router="paper")
