"""What members remember of faces, through a whole run: interrupted, resumed, regrouped."""

import dataclasses
import signal

import chex
import jax
import numpy as np
import pytest

from ferjax.config import ScnConfig
from ferjax.ensemble import checkpoint, regroup, training
from ferjax.ensemble.log import Log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tiny):
    options = ScnConfig(relabel_epoch=1, relabel_above=0.0)
    train = dataclasses.replace(tiny.train, method="scn", scn=options, log_every=2)
    return dataclasses.replace(tiny, train=train)


@pytest.fixture(scope="module")
def whole(config, tiny_faces, tmp_path_factory):
    return training.train(config, tiny_faces, tmp_path_factory.mktemp("scn") / "run")


def assert_same(one, other, rows=slice(None)):
    one, other = (checkpoint.without_keys(tree) for tree in (one, other))
    chex.assert_trees_all_equal(one, jax.tree.map(lambda leaf: leaf[rows], other))


def test_labels_were_mended_by_each_member_for_itself(whole, tiny_faces):
    given = tiny_faces["train"].q.argmax(-1)
    labels = np.asarray(whole.state.memory)
    assert labels.shape == (3, len(given)) and labels.dtype == np.int8
    changed = (labels != given).mean(1)
    assert ((changed > 0.02) & (changed < 0.98)).all()
    assert len({tuple(row) for row in labels}) == 3


def test_an_interrupted_run_remembers(whole, config, tiny_faces, tmp_path):
    hold = Log.hold

    def hold_and_be_preempted(log, step, *report):
        hold(log, step, *report)
        if step == 5:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "hold", hold_and_be_preempted)
        with pytest.raises(training.Interrupted, match="saved at step 5 of 10"):
            training.train(config, tiny_faces, tmp_path / "run")
    resumed = training.train(config, tiny_faces, tmp_path / "run", resume=True)
    assert_same(resumed.state, whole.state)


def test_regrouped_members_keep_their_labels(whole, tmp_path):
    one = regroup.select(whole.folder, [2], tmp_path / "one")
    two = regroup.select(whole.folder, [0, 1], tmp_path / "two")
    merged = regroup.open_run_members(regroup.merge((one, two), tmp_path / "merged"))
    assert_same(merged.state, regroup.open_run_members(whole.folder).state, np.array([2, 0, 1]))
    assert merged.state.memory.shape == whole.state.memory.shape


def test_other_faces_than_those_remembered_are_refused(whole, config, tiny_faces):
    fewer = dataclasses.replace(
        tiny_faces,
        splits={**tiny_faces.splits, "train": tiny_faces["train"].take(np.arange(161))},
    )
    with pytest.raises(ValueError, match="remember .* training faces, these data have 161"):
        training.train(config, fewer, whole.folder, resume=True)
