"""Command lines beside unlucky files: devices, pipes, full disks, names that steer terminals."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ferjax.cli import main


def ferjax(*words, **more):
    """A command in a process of its own."""
    code = "from ferjax.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output="stdout" not in more,
        timeout=120,
        check=False,
        **more,
    )


def refused(capsys, *words):
    """What a command that must be refused says."""
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    assert exit.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_full_disk_and_a_closed_pipe_end_in_words():
    with open("/dev/full", "w") as full:
        done = ferjax("corruptions", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.decode().strip().endswith("No space left on device")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = ferjax("--help", stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_cannot_be_replaced_is_not_written(capsys, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/full", tmp_path / "pipe", tmp_path):
        said = refused(capsys, "corruptions", "--sheet", path, "--suite", "paper", "--size", "32")
        assert f"cannot write {path}: it is" in said
    assert os.path.exists("/dev/full") and sorted(p.name for p in tmp_path.iterdir()) == ["pipe"]


@pytest.mark.parametrize(
    "words, message",
    [
        (("export", "{f}", "--out", "{f}/config.json"), "it is there, and no file of `ferjax ex"),
        (("export", "{f}", "--out", "{f}/stack.npz"), "it is there, and no file of `ferjax exp"),
        (("weights", "export", "{f}", "--out", "{f}"), "exists and is not empty"),
        (("watch", "{f}", "--plot", "{f}/config.json"), "its name must end in .png"),
        (("corruptions", "--sheet", "{f}/config.json"), "its name must end in .png"),
        (("corruptions", "{f}/a.png", "--sheet", "{f}/a.png"), "this command reads it"),
        (("route", "{f}/config.json", "{f}", "--out", "{f}/config.json"), "it is read, and is no"),
        (("data", "folder", "{f}", "--out", "{f}"), "exists and is not empty"),
        (("data", "folder", "{f}", "--out", "{f}/config.json/x"), "config.json is a file"),
        (("members", "merge", "{f}", "{f}", "--out", "{f}"), "exists"),
        (("judge", "predict", "{f}", "--texts", "{f}/t.csv", "--out", "{f}/t.csv"), "end in .npz"),
        (("judge", "parse", "{f}"), "holds no collection.json"),
        (("judge", "parse", "{f}", "--out", "{f}/config.json/x.npz"), "holds no collection"),
    ],
)
def test_no_command_replaces_what_it_reads_or_did_not_write(capsys, tmp_path, words, message):
    from ferjax.config import Config

    (tmp_path / "config.json").write_text(Config().to_json())
    (tmp_path / "thresholds.json").write_text("{}")
    (tmp_path / "t.csv").write_text("id,text\n1,hello\n")
    np.savez(tmp_path / "stack.npz", images=np.zeros((2, 48, 48), np.uint8))
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert message in refused(capsys, *(word.format(f=tmp_path) for word in words))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_name_steers_the_terminal(capsys, tmp_path):
    name = tmp_path / "a\x1b[2J\udce9.safetensors"
    assert r"a\x1b[2J\udce9.safetensors" in refused(capsys, "weights", "info", name)


@pytest.mark.parametrize(
    "text, message",
    [
        ("raise SystemExit(0)", "c.py: SystemExit: 0 (line 1)"),
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
        ("def f():\n  f()\nf()", "c.py: RecursionError"),
        ("config = 5", "must define `config = Config(...)`, found int"),
        ("import nothing_here", "c.py: ModuleNotFoundError"),
    ],
)
def test_a_configuration_that_fails_is_refused_by_line(capsys, tmp_path, text, message):
    (tmp_path / "c.py").write_text(text)
    said = refused(capsys, "train", tmp_path / "c.py", "--out", tmp_path / "run")
    assert message in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values, message",
    [
        (5, "a configuration must be an object, got 5"),
        (None, "a configuration must be an object, got None"),
        ({"train": {"seeds": [10**22]}}, "train.seeds must be at most"),
        ({"train": {"seeds": 3}}, "train.seeds must be a list, got 3"),
        ({"train": {"epochs": "3"}}, "train.epochs must be a whole number, got '3'"),
        ({"train": {"learning_rate": True}}, "train.learning_rate must be a finite number"),
        ({"evaluate": {"batch_size": 10**9}}, "evaluate.batch_size must be at least 1 and at most"),
        ({"evaluate": {"seed": 10**22}}, "evaluate.seed must be"),
        ({"evaluate": {"severities": [1, 1]}}, "evaluate.severities holds 1 more than once"),
        ({"data": {"seed": -1}}, "data.seed must be a whole number in 0..2**32-1"),
        ({"model": {"depth": 10**9}}, "model.depth must be at most 1,024"),
    ],
)
def test_a_configuration_of_other_types_is_refused_by_field(capsys, tmp_path, values, message):
    (tmp_path / "c.json").write_text(json.dumps(values))
    said = refused(capsys, "train", tmp_path / "c.json", "--out", tmp_path / "run")
    assert message in said and "c.json" in said and not (tmp_path / "run").exists()


def test_whole_numbers_and_lists_become_what_a_field_asks_for():
    from ferjax.config import TrainConfig

    made = TrainConfig(seeds=[np.int64(3), 4.0], epochs=np.int32(2))
    assert (made.seeds, made.epochs) == ((3, 4), 2)
    assert {type(seed) for seed in made.seeds} == {int}
