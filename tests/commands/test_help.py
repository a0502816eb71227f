"""What --help says: nothing empty, nothing wider than the terminal, names where they are chosen."""

import contextlib
import functools
import io

import pytest

from ferjax.cli import COMMANDS, GROUPS, main
from ferjax.evaluation.thresholds import SCORES
from ferjax.serving.router_choice import ROUTERS

WIDTHS = (80, 120)


@functools.cache
def shown(name, columns):
    """The help of a command, a group or all, as a terminal of that width shows it."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as exit:
            main([*name.split(), "--help"])
    assert not exit.value.code
    said.seek(0)
    return said.read()


@pytest.mark.parametrize("name", ["", *GROUPS, *COMMANDS])
def test_help_is_no_wider_than_the_terminal_and_tells_no_empty_default(name):
    for columns in WIDTHS:
        text = shown(name, columns)
        assert max(map(len, text.splitlines())) <= min(columns, 100)
        flat = " ".join(text.replace("│", " ").split())
        for nothing in ("(default: )", "(default: None)", "(default: '')", "(default: ())"):
            assert nothing not in flat
        assert "{None}" not in flat


@pytest.mark.parametrize("name", ["quickstart", "watch", "members list", "weights info"])
def test_a_small_command_fits_one_screen(name):
    assert len(shown(name, 80).splitlines()) <= 24


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_kept_as_lines(name):
    """A docstring of nothing but examples loses their indentation, and becomes one paragraph."""
    for line in shown(name, 80).splitlines():
        assert not line.startswith("ferjax "), line


def test_every_router_is_named_where_one_is_chosen():
    assert set(ROUTERS) == set(SCORES)
    for name in ("route", "adapt"):
        assert "{density,uar,paper,error}" in shown(name, 80)
    words = " ".join(shown("route", 80).replace("│", " ").split())
    for router in ROUTERS:
        assert f"{router}, " in words or f"{router}: rejects" in words


def test_the_commands_of_judges_come_in_order_with_the_columns_they_need():
    text = shown("judge", 80)
    order = ("collect", "parse", "describe", "compare", "calibrate", "route")
    places = [text.index(f"  ferjax judge {name} ") for name in order]
    assert places == sorted(places)
    assert "item,rater,label\n  t1,p1,joy" in text
    for name in ("collect", "embed", "predict"):
        assert ",text\n    t1,what a day" in shown(f"judge {name}", 80)
    for name in ("describe", "compare", "calibrate", "route"):
        lines = shown(f"judge {name}", 80).splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("    item,rater,label"))
        assert lines[at + 1].startswith("    t1,p1,joy")
    assert "collection.json" in shown("judge parse", 80)
