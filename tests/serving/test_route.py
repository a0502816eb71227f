"""Pictures routed from Python: a file of lines, resumed, and the contact sheet."""

import collections
import io
import json

import numpy as np
import pytest

from ferjax.report import plots
from ferjax.routing import ACTIONS
from ferjax.serving.contact_sheet import ContactSheet
from ferjax.serving.route import route_pictures


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
    assert heard == list(range(3, 9))
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    stream = io.BytesIO()
    route_pictures(router, ["-"], stream, stdin=io.BytesIO(bytes(pictures / "1.png")))
    assert json.loads(stream.getvalue())["action"] in ACTIONS
    with pytest.raises(ValueError, match="its folder does not exist"):
        route_pictures(router, [pictures], tmp_path / "absent" / "x.jsonl")


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
