"""A run folder belongs to one live process and one configuration; what cannot be written is said
before work starts."""

import dataclasses
import signal
import subprocess
import sys

import pytest

from ferjax.config import Config
from ferjax.ensemble.folder import RunFolder

HOLDER = """
import sys, time
from pathlib import Path
from ferjax.config import Config
from ferjax.ensemble.folder import RunFolder
RunFolder(Path(sys.argv[1])).open(Config(), resume=False)
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
            folder.open(Config(), resume=True)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert not folder.in_use
    folder.open(Config(), resume=True)
    assert folder.in_use
    folder.close()
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


def test_what_a_kill_leaves_is_no_obstacle(tmp_path):
    """Killed before it wrote its configuration, or in the middle of writing a file."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / ".lock").touch()
    (folder.path / ".config.json.123").write_text("{")
    folder.open(Config(), resume=True)
    folder.close()
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"epochs": 3}, r"another configuration: train.epochs 8 -> 3"),
        ({"seeds": (1,)}, r"train.seeds \(42, 43, 44, 45, 46\) -> \(1,\)"),
    ],
)
def test_another_configuration_does_not_resume(tmp_path, changed, said):
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), resume=False)
    folder.close()
    other = dataclasses.replace(Config(), train=dataclasses.replace(Config().train, **changed))
    with pytest.raises(ValueError, match=said):
        folder.open(other, resume=True)
    assert Config.from_json((folder.path / "config.json").read_text()) == Config()


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="is not empty; continue it with --resume"):
        RunFolder(tmp_path).open(Config(), resume=False)
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        RunFolder(tmp_path).open(Config(), resume=True)
    with pytest.raises(FileExistsError, match="is a file; a run needs a folder"):
        RunFolder(tmp_path / "thesis.tex").open(Config(), resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_too_small_a_disk_is_told_before_anything_starts(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        ValueError,
        match=r"needs about 1,048,576,000,000 MiB for checkpoints, its disk has [\d,]+ MiB left",
    ):
        folder.open(Config(), resume=False, needed=2**20 * 1_048_576_000_000)
    assert list(folder.path.iterdir()) == []


def test_a_read_only_folder_is_refused(tmp_path):
    """In a child that gives up its rights first: root may write anywhere."""
    child = (
        "import os, sys\nfrom pathlib import Path\nfrom ferjax.config import Config\nfrom ferjax.ensemble.folder import RunFolder\n"
        "os.getuid() or os.setuid(65534)\nRunFolder(Path(sys.argv[1])).open(Config(), resume=False)"
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
