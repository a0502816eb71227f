"""Typing errors are told before JAX is started: names of files, of options, and of their values."""

import importlib
import json
import shlex
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferjax.cli import COMMANDS
from ferjax.commands.arguments import NewFile, NewFolder, OptionalFolder, OptionalNewFile
from ferjax.commands.inputs import Reads
from ferjax.config import Config


def command(name):
    module, _, class_name = COMMANDS[name].at.partition(":")
    return getattr(importlib.import_module(f"ferjax.commands.{module}"), class_name)


WITHOUT_JAX = """
import contextlib, io, json, shlex, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jax", "jaxlib", "flax"):
            raise AssertionError(f"imports {name}")

sys.meta_path.insert(0, Refuse())
from ferjax.cli import main

found = {}
for line in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(shlex.split(line))
        except SystemExit as exit:
            status = exit.code
        except AssertionError as error:
            status = str(error)
    found[line] = [status, said.getvalue()]
print(json.dumps(found))
"""

PANEL = "judge compare panel.csv j.npz --out o"
CALIBRATE = "judge calibrate panel.csv j.npz --out o"
ROUTE = "judge route panel.csv j.npz --out o"
COLLECT = "judge collect judge_goemotions --base-url http://127.0.0.1:1/v1 --model m --out o"
REFUSED = {
    "trian": "did you mean train?",
    "data flder": "did you mean folder?",
    "quickstart --jugdes": "--judges",
    "quickstart --out t.csv": "t.csv is a file",
    "quickstart --judges --out run": "run holds a run of faces",
    "data ferplus --votes panel.csv --out o": "--fer2013 and --out go together",
    "data folder pics --out o --valid 2": "--valid must lie strictly between 0 and 1",
    "data folder pics --out o --names a": "--names takes LABEL=CLASS..., got 'a'",
    "data folder pics --out run": "run exists and is not empty",
    "train CONFGI --out o": "ferplus_scratch",
    "train synthetic_tiny": "--out FOLDER is missing",
    "train synthetic_tiny --out run": "run exists and is not empty",
    "train synthetic_tiny --out o --resume": "cannot resume o",
    "train synthetic_tiny --out o --train.epochs ten": "--train.epochs: expected a whole number",
    "train synthetic_tiny --out o --train.learning-rate x": "expected a number, got 'x'",
    "train synthetic_tiny --out o --train.method vots": "did you mean votes? expected one of",
    "train synthetic_tiny --out o --train.tolerances zoomm": "unknown tolerance zoomm",
    "train synthetic_tiny --out o --evaluate.corruptions blurr": "did you mean blur?",
    "train synthetic_tiny --out o --data.name ferplus --data.path no": "no FER+ data set in no",
    "train synthetic_tiny --out o --data.name folder --data.path no": "no data set that `ferjax",
    "train texts_goemotions --out o --data.path no.tsv": "no texts at no.tsv",
    "train synthetic_tiny --out o --model.pretrained no.safetensors": "no weights at no.safe",
    "train synthetic_tiny --dry-run --data.name folder --data.path no": "no data set that `ferjax",
    "train synthetic_tiny --dry-run --target v9:2": "unknown target 'v9:2'",
    "train synthetic_tiny --target v5e:2x4": "--target goes with --dry-run",
    "train synthetic_tiny --out o --chunk 0": "--chunk must be at least 1",
    "distil run --out run": "run exists and is not empty",
    "distil run --out o --epochs 0": "--epochs must be at least 1",
    "watch run --plot x.jpg": "its name must end in .png",
    "evaluate run --corruptions blurr": "did you mean blur?",
    "evaluate run --fit-corruptions blurr": "did you mean blur?",
    "evaluate run --prior unifrom": "expected training, uniform, sqrt, estimated",
    "evaluate run --ood cats=no": "no such folder or file: no",
    "evaluate run --resamples 0": "--resamples must be at least 2",
    "evaluate run --votes t.csv": "--votes goes with --predictions",
    "evaluate run --predictions a=j.npz --out o --baseline b": "there are run, a",
    "evaluate --predictions j.npz": "--predictions needs --out",
    "route no": "no such file or folder: no",
    "route run no": "no such file or folder: no",
    "route 'x*.png'": "no file matches this pattern",
    "route run pics --router papr": "there are uar\n  uar: rejects by epistemic",
    "route pics --router papr": "paper: rejects by how members disagree alone",
    "route pics --router paper": "router 'paper' cannot reject here",
    "route pics --prior unifrom": "no prior 'unifrom'",
    "route pics --prior uniform": "needs a run of your own",
    "route run pics --format x": "--format: no 'x'; expected one of csv, jsonl",
    "route run pics --batch-size 0": "--batch-size must be at least 1",
    "route run pics --out no/x": "its folder does not exist",
    "adapt run --labelled a=pics --out o --router papr": "no router 'papr'",
    "adapt run --labelled a=pics --out o --accept-error 2": "--accept-error must lie between",
    "adapt run --labelled a=pics --out run": "choose another folder",
    "export run": "give --out FILE",
    "export run --out panel.csv": "no file of `ferjax export`",
    "export run --out o --prior estimated": "go together",
    "export run --verify": "run is a folder",
    "export t.csv --verify": "not a file that `ferjax export` wrote",
    "export t.csv --out o": "t.csv is not a run",
    "export run --out o --platforms gpu": "expected one of cpu, cuda, rocm, tpu",
    f"{COLLECT} --texts t.csv --ask x": "expected one of logprobs, samples, shares",
    f"{COLLECT} --texts t.csv --concurrency 0": "--concurrency must be more than 0",
    "judge parse run": "run holds no collection.json",
    "judge embed pics t.csv --out e.txt": "must be a .npz file",
    "judge embed pics no.csv --out e.npz": "no texts at no.csv",
    "judge predict run --texts t.csv --out p.txt": "its name must end in .npz",
    f"{PANEL} --resamples 0": "--resamples must be at least 2",
    f"{PANEL} --margin 3": "--margin must be",
    f"{PANEL} --embeddings j.npz": "--embeddings goes with --lexicon",
    f"{PANEL} --resample foo": "expected one of raters, samples, texts",
    f"{PANEL} --shifted a=no": "no judgments at no",
    f"{CALIBRATE} --calibrators platt": "expected one of bias, dirichlet",
    f"{CALIBRATE} --folds 1": "--folds must be at least 2",
    f"{ROUTE} --max-error 3": "--max-error must lie between 0 and 1",
    "judge route panel.csv j.npz --out panel.csv": "this command reads it",
    "members select run --members 9 --out o": "different ones of 0..4",
    "members merge run --out o": "at least two runs",
    "members round run --out run": "run exists and is not empty",
    "members add run --seeds 42 --out o": "the seeds [42] already",
    "weights export run --out o --member 9": "this run has members 0..4",
    "weights info no.safetensors": "no weights at no.safetensors",
    "corruptions --sheet s.jpg": "its name must end in .png",
    "corruptions --sheet s.png --size 8": "at least 32 pixels",
}
"""Line -> what is said of it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with things to name: a run that was never trained, a picture, a panel, texts."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "run" / "checkpoints").mkdir(parents=True)
    (folder / "run" / "config.json").write_text(Config().to_json())
    sides = {
        "defer": {"score": "aleatoric", "above": 1.0},
        "reject": {"score": "epistemic", "above": 0.1},
    }
    (folder / "run" / "thresholds.json").write_text(json.dumps({"routers": {"uar": sides}}))
    (folder / "pics").mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "pics" / "a.png")
    (folder / "panel.csv").write_text("item,rater,label\n1,a,joy\n")
    (folder / "t.csv").write_text("id,text\n1,hello\n")
    np.savez(folder / "j.npz", a=np.zeros(2))
    return folder


def told(place, lines):
    """Status and standard error of each line, in one process that cannot import JAX."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=place,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


def test_what_is_wrong_with_a_line_is_told_without_jax(place):
    before = sorted(place.rglob("*"))
    found = told(place, list(REFUSED))
    wrong = {
        line: answer
        for line, answer in found.items()
        if answer[0] != 2 or REFUSED[line] not in answer[1]
    }
    assert not wrong
    assert sorted(place.rglob("*")) == before


FIRST = {
    "adapt": "run --labelled a=pics --out o",
    "corruptions": "pics/a.png --sheet s.png",
    "data ferplus": "--votes panel.csv",
    "data folder": "pics --out o",
    "distil": "run --out o",
    "evaluate": "run",
    "export": "run --out o",
    "judge calibrate": CALIBRATE.removeprefix("judge calibrate "),
    "judge collect": f"judge_goemotions {COLLECT.partition('judge_goemotions ')[2]}",
    "judge compare": PANEL.removeprefix("judge compare "),
    "judge describe": "panel.csv",
    "judge embed": "pics t.csv --out e.npz",
    "judge parse": "run",
    "judge predict": "run --texts t.csv --out p.npz",
    "judge route": ROUTE.removeprefix("judge route "),
    "members add": "run --seeds 9 --out o",
    "members list": "run",
    "members merge": "run run --out o",
    "members round": "run --out o",
    "members select": "run --members 0 --out o",
    "route": "run pics",
    "watch": "run",
    "weights export": "run --out o",
    "weights info": "pics",
}
"""What a command needs; its positional arguments stand first."""
SECOND = {"judges", "texts"}
"""Positional arguments that stand behind another."""


def _reading():
    """Every argument of every command that names something to read: command, argument, type."""
    for name in COMMANDS:
        for field, hint in typing.get_type_hints(command(name), include_extras=True).items():
            if any(isinstance(note, Reads) for note in getattr(hint, "__metadata__", ())):
                yield name, field, hint


def test_every_name_of_what_is_not_there_is_told_without_jax(place):
    """Each argument that a command reads, one at a time, in place of one that is there."""
    lines = []
    for name, field, hint in _reading():
        words = shlex.split(FIRST[name])
        flag = f"--{field.replace('_', '-')}"
        absent = "a=absent" if "NAME=" in str(hint) else "absent"
        if "Positional" in str(hint):
            words[field in SECOND and name.startswith("judge")] = absent
        elif flag in words:
            words[words.index(flag) + 1] = absent
        else:
            words += [flag, absent]
        lines.append(shlex.join([*name.split(), *words]))
    assert len(lines) > 40
    found = told(place, lines)
    assert not {
        line: answer
        for line, answer in found.items()
        if answer[0] != 2 or "absent" not in answer[1]
    }


WRITTEN = (NewFile, NewFolder, OptionalFolder, OptionalNewFile)
OWN = {("route", "contact_sheet"), ("export", "file")}
"""Arguments of types of their own that name something to write."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_is_either_read_or_written(name):
    cls = command(name)
    read = {field for of, field, _ in _reading() if of == name}
    for field, hint in typing.get_type_hints(cls, include_extras=True).items():
        if Path in (hint, *typing.get_args(hint)) or "Path" in str(hint):
            assert field in read or hint in WRITTEN or (name, field) in OWN, field
