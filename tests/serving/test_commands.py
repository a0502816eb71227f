"""`ferjax route` and `ferjax export`: requests, resuming, streams, and words for what is wrong."""

import io
import json
import sys

import pytest
from PIL import Image

from ferjax.commands.route import SOME_FAILED
from ferjax.routing import ACTIONS

pytestmark = pytest.mark.slow


def test_route_goes_on_where_it_stopped(ferjax, exported, pictures, tmp_path, capsys):
    whole = tmp_path / "whole.csv"
    part = tmp_path / "part.csv"
    as_csv = ("--format", "csv", "--out")
    assert ferjax("route", exported, pictures, *as_csv, whole) == SOME_FAILED
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    capsys.readouterr()
    sheet = tmp_path / "sheet.png"
    words = ("route", exported, pictures, *as_csv, part, "--contact-sheet", sheet)
    assert ferjax(*words) == SOME_FAILED
    assert part.read_bytes() == whole.read_bytes()
    message = " ".join(capsys.readouterr().err.split())
    assert "continued" in message and "7 routed: accepted " in message
    assert "unreadable 1 (see" in message and "next: ferjax export --verify" in message
    with Image.open(sheet) as drawn:
        assert drawn.width > 300
    assert ferjax("route", exported, pictures / "0.png", *as_csv, part, "--overwrite") == 0
    assert len(part.read_bytes().splitlines()) == 2


def test_route_reads_a_stream_and_writes_lines(
    ferjax, exported, pictures, monkeypatch, capfdbinary
):
    line = json.dumps({"path": str(pictures / "1.png"), "id": 3}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line + b"\n")))
    assert ferjax("route", exported, "-", "--router", "confidence") == 0
    line = json.loads(capfdbinary.readouterr().out)
    assert line["id"] == 3 and line["action"] in ACTIONS and "max_prob" in line


def test_an_old_router_name_and_an_old_flag_still_work(
    ferjax, exported, pictures, tmp_path, capfdbinary
):
    sheet = tmp_path / "sheet.png"
    words = ("route", exported, pictures / "1.png", "--router", "familiarity", "--wall", sheet)
    assert ferjax(*words) == 0
    printed = capfdbinary.readouterr()
    assert "ood_density" in json.loads(printed.out)
    assert b"router familiarity is now called density" in printed.err
    assert sheet.exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("route", "{file}"), "nothing to route: give image files, folders"),
        (("route", "{file}", "{pictures}", "--router", "coin"), "no router 'coin'"),
        (
            ("route", "{file}", "{pictures}", "--out", "{pictures}/absent/x.jsonl"),
            "its folder does not exist",
        ),
        (
            ("route", "{file}", "{pictures}", "--out", "{file}"),
            "is no line that this command writes",
        ),
        (("route", "{file}", "{pictures}/*.tif"), "no file matches this pattern"),
        (("export", "{run}", "--out", "{pictures}"), "is a folder"),
        (
            ("export", "{run}", "--out", "{pictures}/x", "--platforms", "abacus"),
            "--platforms: no 'abacus'",
        ),
        (("export", "{pictures}", "--out", "{pictures}/x"), "holds no thresholds.json"),
    ],
)
def test_wrong_requests_are_refused_in_words(
    ferjax, exported, evaluated, pictures, capsys, words, message
):
    places = {"file": exported, "run": evaluated, "pictures": pictures}
    before = exported.read_bytes()
    assert ferjax(*(word.format(**places) for word in words)) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert exported.read_bytes() == before and not (pictures / "x").exists()
