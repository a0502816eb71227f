"""The log of a run: sums of an interval as lines, fetched late, rewound on resume."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.ensemble import log, members, parallel, status

Q = np.eye(8, dtype=np.float32)[[0, 1, 1, 2]]


def report(loss, steps, skipped=0, frozen=False):
    """Of two members; the second is as told, the first is well."""
    zeros = jnp.zeros(2)
    counts = jnp.array([3, steps])
    return members.StepReport(
        zeros,
        zeros,
        status.MemberStatus(
            jnp.array([0, skipped]),
            jnp.zeros(2, int),
            jnp.zeros(2, bool),
            jnp.array([False, frozen]),
        ),
        members.RunningMeans(counts, jnp.array([6.0, loss]), counts / 2),
    )


def answers(*classes):
    """Log-probabilities ``[member, face, class]`` of members that answer one class each."""
    return jnp.log(
        jnp.full((len(classes), len(Q), 8), 0.01) + 0.92 * jnp.eye(8)[jnp.array(classes)][:, None]
    )


@pytest.fixture
def written(tmp_path):
    shown = []
    held = log.Log(
        tmp_path / "metrics.jsonl",
        parallel.lay_out(2, parallel.lay_out(2).devices[:1]),
        Q,
        steps=5,
        faces_per_step=8,
        writes=True,
        on_line=shown.append,
    )
    held.rewind(0)
    return held, tmp_path / "metrics.jsonl", shown


def test_a_line_is_written_when_the_next_is_held(written):
    held, path, shown = written
    held.hold(3, report(9.0, 3), None)
    assert path.read_text() == "" and shown == []
    held.hold(5, report(0.0, 0, skipped=3), answers(1, 0))
    assert [line["step"] for line in log.read_log(path)] == [3]
    held.close()
    first, second = log.read_log(path)
    assert shown == [first, second] and held.last == second
    assert (first["epoch"], first["loss"], first["train_accuracy"]) == (0.6, [2.0, 3.0], [0.5, 0.5])
    assert "valid_accuracy" not in first
    assert (second["epoch"], second["loss"], second["skipped"], second["frozen"]) == (
        1,
        [2.0, None],
        [0, 3],
        [False, False],
    )
    assert second["valid_accuracy"] == [0.5, 0.25]
    assert second["valid_epistemic"] > 0.1


@pytest.mark.parametrize(
    "frozen, log_probs", [(True, answers(1, 0)), (False, answers(1, 0).at[1].set(jnp.nan))]
)
def test_an_ensemble_has_only_sound_members(written, frozen, log_probs):
    held, path, _ = written
    held.hold(5, report(1.0, 1, 4, frozen), log_probs)
    held.close()
    (line,) = log.read_log(path)
    assert line["valid_accuracy"] == [0.5, None]
    assert line["valid_ensemble_accuracy"] == 0.5
    assert line["valid_epistemic"] == pytest.approx(0, abs=1e-6)


def test_nobody_sound_no_figures():
    assert log.valid_figures(np.zeros((2, 4, 8)), Q, np.array([True, True])) == {}


def test_rewinding_forgets_later_lines_and_a_torn_one(written):
    held, path, _ = written
    for step in (3, 5, 8):
        held.hold(step, report(3.0, 3), None)
    held.close()
    with open(path, "a") as file:
        file.write('{"step": 10, "lo')
    assert len(log.read_log(path)) == 3
    held.rewind(5)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [3, 5]
    assert held.last["step"] == 5
    held.rewind(2)
    assert path.read_text() == "" and held.last == {}


def test_intervals_divide_an_epoch_evenly():
    starts = [step for step in range(20) if members.begins_interval(step, 10, 3)]
    assert starts == [0, 4, 7, 10, 14, 17]
    assert [step for step in range(10) if members.begins_interval(step, 5, 1)] == [0, 5]
