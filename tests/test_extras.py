"""The advice of how to install something: right in a clone and for a wheel, and in one place."""

import importlib.metadata
import re
from pathlib import Path

import pytest

import ferjax
from ferjax import extras

ROOT = Path(ferjax.__file__).parents[1]


def test_a_wheel_gives_the_advice_of_the_clone(monkeypatch, tmp_path):
    in_clone = {name: extras.how_to_install(name) for name in ("tpu", "faces", "text", "hub")}
    built = [
        "jax>=0.10",
        'jax[tpu]>=0.10; extra == "tpu"',
        'opencv-python-headless<5,>=4.9; extra == "faces"',
        "tokenizers>=0.21 ; extra == 'text'",
        'huggingface-hub>=0.30; extra == "hub"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: built)
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "ferjax" / "extras.py"))
    assert {name: extras.how_to_install(name) for name in in_clone} == in_clone
    assert in_clone["faces"] == "pip install 'opencv-python-headless>=4.9,<5'"
    with pytest.raises(KeyError):
        extras.packages_of("no_such")


def test_no_advice_needs_an_index_that_has_ferjax():
    """ferjax is not published: by its name alone pip would not find it."""
    files = [*ROOT.glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    files += [*(ROOT / "ferjax").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(files) > 100
    advice = re.compile(r"""pip install (-\S+ )*['"]?ferjax\b(?!-)""")
    assert not [file for file in files if advice.search(file.read_text())]
