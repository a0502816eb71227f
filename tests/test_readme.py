"""What the README shows runs as it stands."""

import importlib
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import ferjax
from ferjax.cli import COMMANDS
from ferjax.commands.parsing import parse

README = Path(__file__).parents[1] / "README.md"


def block(marker):
    """The code between a marker and its end."""
    found = re.search(
        rf"<!-- {marker} -->\n```python\n(.*?)```\n<!-- end -->", README.read_text(), re.S
    )
    assert found, marker
    return found[1]


def test_the_pure_functions_on_random_logits(capsys):
    """The noisy items are told from the others; accept, defer and reject all occur, as it says."""
    with jax.numpy_rank_promotion("allow"):
        space: dict = {}
        exec(block("example-functions"), space)
    counts = [np.bincount(of, minlength=3) for of in space["actions"]]
    assert (sum(counts) > 100).all()
    told = re.search(r"reject: ([\d ,]+)\n", block("example-functions"))[1]
    expected = [[int(x) for x in part.split()] for part in told.split(",")]
    assert np.abs(np.array(counts) - expected).max() <= 2  # a rounding beside a threshold
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(0.95, abs=0.005)


@pytest.mark.slow
def test_python_does_what_the_commands_do_in_ten_lines(tiny, tmp_path, monkeypatch):
    text = block("example-workflow")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ferjax, "Config", lambda: tiny)
    exec(text, {})
    assert (tmp_path / "runs/mine/report.html").is_file()
    assert (tmp_path / "mine.ferjax").is_file()


def test_it_is_short_and_its_links_lead_somewhere():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (README.parent / target).exists(), target
    for paper in ("2606.22725", "2604.27345"):
        assert f"https://arxiv.org/abs/{paper}" in text
        assert paper in (README.parent / "CITATION.cff").read_text()


def test_its_commands_are_commands():
    """Every ferjax line of the README parses, to the last option."""
    from ferjax.cli import _find

    lines = [
        line.split("#")[0].split("&&")[-1].split("|")[-1].strip()
        for block in re.findall(r"```sh\n(.*?)```", README.read_text(), re.S)
        for line in block.splitlines()
    ]
    commands = [line.split()[1:] for line in lines if line.startswith("ferjax ")]
    assert len(commands) >= 10
    for words in commands:
        name, rest = _find(words)
        module, _, class_name = COMMANDS[name].at.partition(":")
        command = getattr(importlib.import_module(f"ferjax.commands.{module}"), class_name)
        assert parse(command, rest, f"ferjax {name}")
