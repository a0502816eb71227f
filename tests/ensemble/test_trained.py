"""Opening a run: what is none is refused, and one member is a whole network."""

import shutil

import jax
import pytest

from ferjax.ensemble import prediction
from ferjax.faces import ferplus


@pytest.fixture(scope="module")
def trained(run):
    return prediction.load_run(run)


def test_a_run_opens_with_all_its_members(trained, tiny):
    assert trained.config == tiny
    assert trained.spec == ferplus.SPEC
    assert {len(leaf) for leaf in jax.tree.leaves(trained.params)} == {3}
    assert trained.trunk is None
    assert trained.densities is not None


def test_densities_of_other_members_are_not_taken_for_its_own(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    text = (copy / "config.json").read_text()
    assert '"seeds": [\n      1,\n      2,\n      3\n    ]' in text
    (copy / "config.json").write_text(text.replace("1,\n      2,\n      3\n", "1,\n      2\n"))
    fewer = prediction.load_run(copy)
    assert len(fewer.best_accuracy) == 2
    assert fewer.densities is None


def test_one_member_is_a_whole_network(trained):
    with pytest.raises(ValueError, match=r"no member 3: this run has members 0\.\.2"):
        prediction.member_params(trained, 3)


def test_what_is_no_trained_run_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run: it holds no config.json"):
        prediction.load_run(tmp_path)
    shutil.copy(run / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no checkpoints; was it trained"):
        prediction.load_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        prediction.load_run(tmp_path)
