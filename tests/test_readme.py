"""What the README shows runs as it stands."""

import re
from pathlib import Path

import jax
import pytest

import ferjax

README = Path(__file__).parents[1] / "README.md"


def block(marker):
    """The code between a marker and its end."""
    found = re.search(
        rf"<!-- {marker} -->\n```python\n(.*?)```\n<!-- end -->", README.read_text(), re.S
    )
    assert found, marker
    return found[1]


def test_the_pure_functions_on_random_logits(capsys):
    """The noisy items are told from the others, and most of them are rejected."""
    with jax.numpy_rank_promotion("allow"):
        space: dict = {}
        exec(block("example-functions"), space)
    assert space["auroc"](space["both"], jax.numpy.arange(2000) >= 1000) > 0.9
    assert (space["actions"] == 2).mean() > 0.5
    assert len(capsys.readouterr().out.split()) >= 4


@pytest.mark.slow
def test_python_does_what_the_commands_do_in_ten_lines(tiny, tmp_path, monkeypatch):
    text = block("example-workflow")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ferjax, "Config", lambda: tiny)
    exec(text, {})
    assert (tmp_path / "runs/mine/report.html").is_file()
    assert (tmp_path / "mine.ferjax").is_file()
