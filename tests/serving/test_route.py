"""Pictures routed from Python: a file of lines, resumed, and the contact sheet."""

import collections
import io
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ferjax.cli import main
from ferjax.report import plots
from ferjax.routing import ACTIONS
from ferjax.serving.contact_sheet import ContactSheet
from ferjax.serving.route import check_request, route_pictures


def test_python_does_what_the_command_does(router, pictures, tmp_path):
    """The same files, refusals and counts, with nothing printed and progress by a callback."""
    out = tmp_path / "lines.jsonl"
    sheet = tmp_path / "sheet.png"
    heard = []
    made = route_pictures(router, [pictures], out, contact_sheet=sheet, on_picture=heard.append)
    assert (made.kept, made.new, made.contact_sheet) == ((0, 0), (7, 1), sheet)
    assert heard == list(range(9)) and sheet.exists()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
    heard.clear()
    made = route_pictures(router, [pictures], out, on_picture=heard.append)
    assert (made.kept, made.new, made.contact_sheet) == ((3, 0), (4, 1), None)
    assert (made.routed, made.failed) == (7, 1)
    # Of those that were there, too.
    counted = collections.Counter(line["action"] for line in lines if "action" in line)
    assert dict(made.actions) == {action: counted[action] for action in ACTIONS}
    assert heard == list(range(3, 9))
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    stream = io.BytesIO()
    route_pictures(router, ["-"], stream, stdin=io.BytesIO(bytes(pictures / "1.png")))
    assert json.loads(stream.getvalue())["action"] in ACTIONS
    with pytest.raises(ValueError, match="its folder does not exist"):
        route_pictures(router, [pictures], tmp_path / "absent" / "x.jsonl")


def test_a_sheet_is_refused_before_anything_is_routed(pictures, tmp_path):
    """Onto the lines, by another name of the same file too; or where none can be written."""
    out = tmp_path / "lines.png"
    (tmp_path / "link.png").symlink_to(out)
    for sheet, why in (
        (out, "cannot both be"),
        (tmp_path / "link.png", "cannot both be"),
        (tmp_path / "sheet.jpg", "a contact sheet is a .png"),
        (tmp_path / "absent" / "sheet.png", "its folder does not exist"),
        (pictures, "it is a folder"),
    ):
        with pytest.raises(ValueError, match=why):
            check_request([pictures], out, sheet)
    assert not out.exists()


@pytest.fixture
def taken(tmp_path):
    """A file of lines that another process writes to."""
    out = tmp_path / "lines.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom ferjax.serving.request import lock_of\n"
        "lock_of(Path(sys.argv[1])).take()\nprint('taken', flush=True)\nsys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"taken\n"
        yield out, process.pid
        process.stdin.close()


def test_two_processes_never_write_to_one_file(router, pictures, taken, capsys):
    out, other = taken
    with pytest.raises(FileExistsError, match=f"lines.jsonl is in use by process {other} on "):
        route_pictures(router, [pictures], out)
    assert router.batches == [] and not out.exists()
    # The command says so before it opens the model.
    with pytest.raises(SystemExit) as exit:
        main(["route", str(pictures), "--out", str(out)])
    assert exit.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"is in use by process {other} on" in said and said.count("error:") == 1


def test_standard_output_by_name_gets_lines_and_ends(router, pictures):
    """A pipe, as in a shell; what nobody reads from, or has no room, is an error, not a wait."""
    reader, writer = os.pipe()
    heard = []

    def read():
        with os.fdopen(reader, "rb") as file:
            heard.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    kept = os.dup(1)
    os.dup2(writer, 1)
    try:
        made = route_pictures(router, [pictures], "/dev/stdout")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writer)
    thread.join(20)
    assert (made.new, made.kept) == ((7, 1), (0, 0))
    assert len([json.loads(line) for line in heard[0].splitlines()]) == 8
    with pytest.raises(OSError, match="No space left on device"):
        route_pictures(router, [pictures], "/dev/full")
    os.mkfifo(pictures.parent / "pipe")
    with pytest.raises(OSError, match="No such device or address"):
        route_pictures(router, [pictures / "1.png"], pictures.parent / "pipe")


def test_the_contact_sheet_is_a_uniform_sample_in_order(router, monkeypatch):
    """Twelve faces for four tiles, many times over: each is drawn as often as any other."""
    drawn = collections.Counter()

    def draw(tiles, path, rules):
        captions = [tile.caption for tile in tiles]
        assert captions == sorted(set(captions)) and len(captions) == 4
        drawn.update(captions)

    monkeypatch.setattr(plots, "decision_wall", draw)
    face = np.zeros((48, 48), np.uint8)
    for seed in range(600):
        sheet = ContactSheet(router.rule, 4, seed)
        for i in range(12):
            sheet.add({"path": f"{i:02d}.png"}, face, router.decide(0.1))
            sheet.add({"path": "broken.png"}, None, None)
        sheet.draw("sheet.png")
    assert len(drawn) == 12
    assert all(150 < count < 250 for count in drawn.values())  # 200 expected, deviation 12


def test_names_on_the_contact_sheet_can_be_drawn(router, tmp_path):
    """No formula, no character without a glyph's meaning, no caption wider than its tile."""
    sheet = ContactSheet(router.rule)
    for name in ("$x^$.png", "line\nbreak.png", "\udce9.png", "a" * 200 + ".png"):
        sheet.add({"path": name}, np.zeros((48, 48), np.uint8), router.decide(0.1))
    assert sheet.draw(tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"there is nothing to draw in sheet\.png"):
        ContactSheet(router.rule).draw("sheet.png")
