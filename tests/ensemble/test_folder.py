"""A run folder belongs to one live process and one configuration, and says what it holds."""

import dataclasses
import signal
import subprocess
import sys

import pytest

from ferjax.config import Config
from ferjax.ensemble.folder import RunFolder
from ferjax.faces import ferplus
from ferjax.faces.dataset import DataSpec

SPEC = DataSpec(("cat", "dog"), 32)
FILES = {"config.json", "data.json"}
HOLDER = """
import sys, time
from pathlib import Path
from ferjax.config import Config
from ferjax.ensemble.folder import RunFolder
from ferjax.faces.dataset import DataSpec
RunFolder(Path(sys.argv[1])).open(Config(), DataSpec(("cat", "dog"), 32), resume=False)
print("open", flush=True)
time.sleep(60)
"""


def test_a_live_process_keeps_others_out_and_a_killed_one_does_not(tmp_path):
    folder = RunFolder(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "open\n"
        assert folder.in_use
        with pytest.raises(FileExistsError, match=f"is in use by process {holder.pid} on "):
            folder.open(Config(), SPEC, resume=True)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert not folder.in_use
    folder.open(Config(), SPEC, resume=True)
    assert folder.in_use
    folder.close()
    assert {path.name for path in folder.path.iterdir()} == FILES


def test_what_a_kill_leaves_is_no_obstacle(tmp_path):
    """Killed before it wrote its configuration, or in the middle of writing a file."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / ".lock").touch()
    (folder.path / ".config.json.123").write_text("{")
    folder.open(Config(), SPEC, resume=True)
    folder.close()
    assert {path.name for path in folder.path.iterdir()} == FILES


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"epochs": 3}, r"another configuration: train.epochs 8 -> 3"),
        ({"seeds": (1,)}, r"train.seeds \(42, 43, 44, 45, 46\) -> \(1,\)"),
        ({"method": "labels"}, "train.method votes -> labels"),
    ],
)
def test_another_configuration_does_not_resume(tmp_path, changed, said):
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), SPEC, resume=False)
    folder.close()
    other = dataclasses.replace(Config(), train=dataclasses.replace(Config().train, **changed))
    with pytest.raises(ValueError, match=said):
        folder.open(other, SPEC, resume=True)
    assert Config.from_json((folder.path / "config.json").read_text()) == Config()


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="is not empty; continue it with --resume"):
        RunFolder(tmp_path).open(Config(), SPEC, resume=False)
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        RunFolder(tmp_path).open(Config(), SPEC, resume=True)
    with pytest.raises(FileExistsError, match="is a file; a run needs a folder"):
        RunFolder(tmp_path / "thesis.tex").open(Config(), SPEC, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_too_small_a_disk_is_told_before_anything_starts(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        ValueError,
        match=r"needs about 1,048,576,000,000 MiB for checkpoints, its disk has [\d,]+ MiB left",
    ):
        folder.open(Config(), SPEC, resume=False, needed=2**20 * 1_048_576_000_000)
    assert list(folder.path.iterdir()) == []


def test_a_read_only_folder_is_refused(tmp_path):
    """In a child that gives up its rights first: root may write anywhere."""
    child = (
        "import os, sys\nfrom pathlib import Path\nfrom ferjax.config import Config\n"
        "from ferjax.ensemble.folder import RunFolder\nfrom ferjax.faces.ferplus import SPEC\n"
        "os.getuid() or os.setuid(65534)\n"
        "RunFolder(Path(sys.argv[1])).open(Config(), SPEC, resume=False)"
    )
    tmp_path.chmod(0o555)
    said = subprocess.run(
        [sys.executable, "-c", child, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    tmp_path.chmod(0o755)
    assert "PermissionError: cannot write to" in said.stderr
    assert not (tmp_path / "run").exists()


def test_it_says_what_it_holds_and_an_old_one_is_ferplus(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"is not a run: it holds no config\.json"):
        folder.config()
    config = dataclasses.replace(Config(), train=dataclasses.replace(Config().train, epochs=2))
    folder.open(config, SPEC, resume=False)
    folder.close()
    assert (folder.config(), folder.spec()) == (config, SPEC)
    (folder.path / "data.json").write_text('{"classes": 3}')
    with pytest.raises(ValueError, match=r"data\.json: not a description of data"):
        folder.spec()
    (folder.path / "data.json").unlink()
    assert folder.spec() == ferplus.SPEC


def test_other_data_do_not_resume(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), SPEC, resume=False)
    folder.close()
    with pytest.raises(ValueError, match=r"with other data: it has .*'cat', 'dog'.*, these are"):
        folder.open(Config(), ferplus.SPEC, resume=True)
    assert folder.spec() == SPEC


def test_a_run_keeps_how_many_members_are_computed_at_once(tmp_path):
    run = RunFolder(tmp_path)
    assert run.chunk() is None
    for chunk in (13, None, 1):
        run.keep_chunk(chunk)
        assert run.chunk() == chunk
    for text in ("junk", "{}", '{"chunk": 0}', '{"chunk": true}', '{"chunk": "3"}', "[]"):
        (tmp_path / "layout.json").write_text(text)
        with pytest.raises(ValueError, match=r"layout\.json: .*chunk"):
            run.chunk()
