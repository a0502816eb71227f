"""The README's pictures and figures come from a quickstart, by one command."""

import json
from pathlib import Path

import pytest

from benchmarks import readme

TABLES = {
    "quality": {"accuracy": {"value": 0.81234}, "majority_class": 0.2},
    "disagreement": {"scores": {"aleatoric": {"spearman_true_entropy": {"value": 0.7}}}},
    "shift": {"curve": {"epistemic": {"5": {"value": 0.9}}}},
}


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / ".readme").mkdir()
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (tmp_path / "README.md").write_text(text)
    run = tmp_path / "run"
    run.mkdir()
    (run / "evaluation.json").write_text(json.dumps(TABLES))
    (run / "routed.png").write_bytes(b"a picture")
    return tmp_path


def test_figures_and_picture_are_replaced_and_nothing_else(checkout):
    before = (checkout / "README.md").read_text()
    readme.update(checkout / "run", checkout)
    after = (checkout / "README.md").read_text()
    assert "accuracy 0.812 (most frequent class 0.200)" in after
    assert (checkout / ".readme" / "routed.png").read_bytes() == b"a picture"
    changed = [pair for pair in zip(before.splitlines(), after.splitlines()) if len({*pair}) > 1]
    assert len(changed) == 1 and len(before.splitlines()) == len(after.splitlines())
    readme.update(checkout / "run", checkout)
    assert (checkout / "README.md").read_text() == after


def test_a_readme_without_the_place_is_refused(checkout):
    (checkout / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="quickstart-figures"):
        readme.update(checkout / "run", checkout)
    assert (checkout / "README.md").read_text() == "nothing"
