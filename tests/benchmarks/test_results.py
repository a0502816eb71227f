"""What a benchmark leaves behind, and the command lines."""

import json

import pytest
from PIL import Image

from benchmarks import __main__ as command
from benchmarks import results
from benchmarks.timing import Timing


@pytest.mark.parametrize(
    "cell, text",
    [
        (None, "–"),
        ("x", "x"),
        (1234567, "1,234,567"),
        (0.0, "0.0"),
        (1234.5, "1,230"),
        (0.012345, "0.0123"),
        (9.999, "10.00"),
        (2.5, "2.50"),
        (float("nan"), "nan"),
        (-3.14159, "-3.14"),
        (True, "True"),
    ],
)
def test_cells_have_three_digits(cell, text):
    assert results.shown(cell) == text


def two_rows(found):
    found.table("a title", "what", "how much")
    found.row("first", 1.5)
    for faces in (10, 100):
        found.timed(
            "panel",
            faces,
            {"ours": Timing(1e-3 * faces, 5e-4 * faces, 2e-3 * faces, 3, 1.0)},
            "faces",
        )
    found.row("second", None)


def test_everything_lands_in_the_folder(tmp_path, capsys):
    two_rows.__module__ = "benchmarks.fake"
    results.main(two_rows, "help", ["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    whole = json.loads((tmp_path / "fake.json").read_text())
    assert whole["quick"] is True and whole["tables"][0]["rows"] == [
        ["first", 1.5],
        ["second", None],
    ]
    assert [t["faces"] for t in whole["timings"]] == [10, 100] and whole["timings"][0][
        "median"
    ] == 0.01
    assert whole["machine"]["versions"]["jax"]
    markdown = (tmp_path / "fake.md").read_text()
    assert (
        "| first | 1.50 |" in markdown
        and "| second | – |" in markdown
        and markdown.strip() == printed.strip()
    )
    with Image.open(tmp_path / "fake.png") as picture:
        assert picture.width > 200 and len(picture.convert("RGB").getcolors(1 << 20)) > 5


def test_what_was_found_is_kept_when_a_benchmark_breaks(tmp_path):
    def breaks(found):
        two_rows(found)
        raise KeyboardInterrupt

    breaks.__module__ = "benchmarks.broken"
    with pytest.raises(KeyboardInterrupt):
        results.main(breaks, "help", ["--out", str(tmp_path)])
    assert json.loads((tmp_path / "broken.json").read_text())["tables"]


def test_freed_memory_is_kept_only_where_asked_and_that_is_said(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(results, "keep_freed_memory", lambda: asked.append(True))
    two_rows.__module__ = "benchmarks.fake"
    for options, kept in (([], False), (["--keep-memory"], True)):
        results.main(two_rows, "help", [*options, "--out", str(tmp_path)])
        assert (
            json.loads((tmp_path / "fake.json").read_text())["keep_memory"] is kept
            and bool(asked) is kept
        )
        assert ("freed memory stays" in capsys.readouterr().out) is kept


def test_a_row_must_fit_its_table():
    found = results.Results("x")
    found.table("t", "a", "b")
    with pytest.raises(ValueError, match="expected 2 cells, got 3"):
        found.row(1, 2, 3)


def test_an_unknown_benchmark_is_named(capsys):
    with pytest.raises(SystemExit):
        command.main(["router_gird"])
    error = capsys.readouterr().err
    assert "unknown benchmark router_gird" in error and "router_grid" in error


def test_help_names_every_benchmark(capsys):
    with pytest.raises(SystemExit) as exit:
        command.main(["--help"])
    shown = capsys.readouterr().out
    assert exit.value.code == 0 and all(name in shown for name in command.NAMES)
