"""Events for TensorBoard, where there is a writer."""

import json
import sys
import types

import pytest

from ferjax.ensemble import parallel, tensorboard
from ferjax.ensemble.log import Log


@pytest.fixture
def written(monkeypatch):
    """What a stand-in for tensorboardX was asked to write."""
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, tag, value, step):
            written.append((tag, value, step))

        def flush(self):
            written.append("flushed")

        def close(self):
            written.append("closed")

    module = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return written


def test_without_a_writer_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert tensorboard.writer(tmp_path, 5) is None


def test_a_line_is_a_scalar_per_figure_and_member(written, tmp_path):
    events = tensorboard.writer(tmp_path, 5)
    line = {"epoch": 1, "step": 10, "loss": [0.5, None], "valid_ensemble_nll": 1.5, "nothing": None}
    tensorboard.write(events, line)
    assert written == [
        (str(tmp_path), 6),
        ("loss/member_0", 0.5, 10),
        ("valid_ensemble_nll", 1.5, 10),
        "flushed",
    ]


@pytest.mark.parametrize("step, purged", [(0, None), (3, 4)])
def test_the_log_of_a_run_goes_on_where_it_resumes(written, tmp_path, step, purged):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 3, "loss": [2.0]}) + "\n")
    layout = parallel.lay_out(1, parallel.lay_out(1).devices[:1])
    log = Log(
        tmp_path / "metrics.jsonl",
        layout,
        None,
        steps=5,
        faces_per_step=1,
        writes=True,
        on_line=lambda line: None,
    )
    log.rewind(step)
    log.close()
    assert written == [(str(tmp_path / "tensorboard"), purged), "closed"]


def test_files_of_the_real_writer_hold_every_scalar(tmp_path):
    pytest.importorskip("tensorboardX")
    events = tensorboard.writer(tmp_path, 0)
    tensorboard.write(events, {"step": 10, "loss": [0.5, 0.25]})
    events.close()
    (file,) = tmp_path.iterdir()
    assert b"loss/member_0" in file.read_bytes() and b"loss/member_1" in file.read_bytes()
