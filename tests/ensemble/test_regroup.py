"""Runs regrouped: members keep everything they have; what does not fit together is refused."""

import dataclasses
import json
import shutil

import chex
import jax
import numpy as np
import pytest

from ferjax import rounding
from ferjax.cli import main
from ferjax.ensemble import checkpoint, prediction, regroup
from ferjax.faces.dataset import DataSpec


def ferjax(*words):
    """Runs a command line and returns its exit status."""
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    return exit.value.code or 0


def assert_members(one, other, rows):
    chosen = jax.tree.map(lambda leaf: leaf[rows], checkpoint.without_keys(other))
    chex.assert_trees_all_equal(checkpoint.without_keys(one), chosen)


@pytest.fixture(scope="module")
def parts(run, tmp_path_factory):
    """The shared run of the seeds 1, 2, 3 as two: 3 and 1, and 2."""
    base = tmp_path_factory.mktemp("parts")
    return regroup.select(run, [2, 0], base / "two"), regroup.select(run, [1], base / "one")


def test_a_selection_is_a_run_with_everything_its_members_had(run, parts):
    whole = regroup.open_run_members(run)
    two = regroup.open_run_members(parts[0])
    assert two.config == dataclasses.replace(
        whole.config, train=dataclasses.replace(whole.config.train, seeds=(3, 1))
    )
    assert two.step == whole.step == 10
    assert two.spec == whole.spec
    assert_members(two.state, whole.state, np.array([2, 0]))
    assert [line["step"] for line in two.lines] == [line["step"] for line in whole.lines]
    assert two.lines[-1]["loss"] == [whole.lines[-1]["loss"][k] for k in (2, 0)]
    assert "valid_ensemble_accuracy" not in two.lines[-1]
    trained = prediction.load_run(parts[0])
    assert_members(trained.params, prediction.load_run(run).params, np.array([2, 0]))


def test_a_merger_undoes_selections(run, parts, tmp_path):
    merged = regroup.open_run_members(regroup.merge(parts, tmp_path / "merged"))
    assert merged.config.train.seeds == (3, 1, 2)
    assert_members(merged.state, regroup.open_run_members(run).state, np.array([2, 0, 1]))
    assert len(merged.lines[-1]["valid_accuracy"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_what_does_not_belong_together_is_refused_and_leaves_nothing(run, parts, tmp_path):
    with pytest.raises(
        ValueError, match=r"must be different ones of 0\.\.2, and at least one; got 0 3"
    ):
        regroup.select(run, [0, 3], tmp_path / "x")
    with pytest.raises(ValueError, match=r"share the seeds \[1, 3\]"):
        regroup.merge((run, parts[0]), tmp_path / "x")
    with pytest.raises(ValueError, match="at least two runs, got 1"):
        regroup.merge((run,), tmp_path / "x")
    with pytest.raises(FileExistsError, match="exists and is not empty; choose a new"):
        regroup.select(run, [0], parts[0])
    other = tmp_path / "other"
    shutil.copytree(parts[1], other)
    text = (other / "config.json").read_text()
    (other / "config.json").write_text(
        text.replace('"learning_rate": 0.003', '"learning_rate": 0.1')
    )
    with pytest.raises(
        ValueError, match=r"other/config.json: the checkpoint .*train.learning_rate 0.003 -> 0.1"
    ):
        regroup.merge((parts[0], other), tmp_path / "x")
    (other / "config.json").write_text(text)
    spec = (other / "data.json").read_text()
    eight = DataSpec(tuple("abcdefgh"), 48)
    (other / "data.json").write_text(json.dumps(eight.to_json()))
    with pytest.raises(ValueError, match=r"other/data.json: the checkpoint .*'a', 'b'"):
        regroup.merge((parts[0], other), tmp_path / "x")
    (other / "data.json").write_text(spec)
    (other / "trunk.safetensors").write_bytes(b"another")
    with pytest.raises(ValueError, match="other/trunk.safetensors: not a safetensors file"):
        regroup.merge((parts[0], other), tmp_path / "x")
    assert {path.name for path in tmp_path.iterdir()} == {"other"}


@pytest.mark.parametrize("word", ["select", "slice"])
def test_the_commands_list_and_select(run, tmp_path, capsys, word):
    """``slice`` is what version 0.1.0 called it."""
    assert ferjax("members", "list", run) == 0
    listed = capsys.readouterr().out
    assert "best valid accuracy" in listed and all(
        f"│ {seed} │" in " ".join(listed.split()) for seed in (1, 2, 3)
    )
    assert ferjax("members", word, run, "--members", 1, "--out", tmp_path / "one") == 0
    assert json.loads((tmp_path / "one" / "config.json").read_text())["train"]["seeds"] == [2]


@pytest.mark.slow
def test_added_members_are_those_the_run_would_have_had(run, parts, tmp_path, capsys):
    assert ferjax("members", "add", parts[0], "--seeds", 1, "--out", tmp_path / "grown") == 2
    assert "seeds [1] already" in " ".join(capsys.readouterr().err.split())
    assert ferjax("members", "add", parts[0], "--seeds", 2, "--out", tmp_path / "grown") == 0
    grown = regroup.open_run_members(tmp_path / "grown")
    whole = regroup.open_run_members(run)
    assert grown.config.train.seeds == (3, 1, 2)
    grown_params, whole_params = (r.state.params for r in (grown, whole))
    old = jax.tree.map(lambda leaf: leaf[:2], grown_params)
    assert_members(old, whole_params, np.array([2, 0]))
    chex.assert_trees_all_close(
        jax.tree.map(lambda leaf: leaf[2], grown_params),
        jax.tree.map(lambda leaf: leaf[1], whole_params),
        atol=1e-3,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["grown"]


def test_members_are_added_to_a_finished_run_only(run, tmp_path):
    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    text = (unfinished / "config.json").read_text()
    (unfinished / "config.json").write_text(text.replace('"epochs": 2', '"epochs": 3'))
    with pytest.raises(ValueError, match="unfinished is at step 10 of 15; finish it first"):
        regroup.add_members(unfinished, [7], tmp_path / "grown")
    with pytest.raises(FileExistsError, match="exists and is not empty; choose a new"):
        regroup.add_members(run, [7], unfinished)


def test_rounded_members_are_a_run_whose_matrices_lie_on_8_bits(run, tmp_path):
    assert ferjax("members", "round", run, "--out", tmp_path / "small") == 0
    before = regroup.open_run_members(run)
    after = regroup.open_run_members(tmp_path / "small")
    assert after.config == before.config and after.lines == before.lines
    kernel = after.state.best_params["block_0"]["mlp"]["up"]["kernel"]
    exact = before.state.best_params["block_0"]["mlp"]["up"]["kernel"]
    assert rounding.as_rounded(np.asarray(kernel)) is not None
    assert 0 < np.abs(kernel - exact).max() < np.abs(exact).max() / 200
    trained = prediction.load_run(tmp_path / "small")
    np.testing.assert_array_equal(trained.params["block_0"]["mlp"]["up"]["kernel"], kernel)
