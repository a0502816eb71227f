"""Around the model: every picture has its line, in order, once, in both formats, interrupted and
resumed anywhere."""

import csv
import io
import json
import os
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from ferjax.serving import pipeline, sources
from ferjax.serving.records import Csv, Jsonl, resume


@pytest.fixture
def pictures(tmp_path, rng):
    """Thirteen pictures in two folders, three of them broken, and an .npz of three."""
    folder = tmp_path / "pictures"
    (folder / "sub.png").mkdir(parents=True)
    for i in range(10):
        where = folder if i % 2 else folder / "sub.png"
        Image.fromarray(rng.integers(0, 255, (20 + i, 30), np.uint8)).save(where / f"{i}.png")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "empty.png").touch()
    os.symlink("nowhere.png", folder / "dangling.png")
    np.savez_compressed(folder / "stack.npz", images=rng.integers(0, 255, (3, 48, 48), np.uint8))
    (folder / "notes.txt").write_text("not looked at")
    os.symlink("..", folder / "sub.png" / "round")
    return folder


def route(router, *paths, lines=None, stdin=None, **settings):
    """Counts, and the records of JSON lines, or the bytes in the format that is given."""
    out = io.BytesIO()
    items = sources.items(paths, stdin)
    counts = pipeline.route_items(router, items, lines or Jsonl(), out, **settings)
    if lines is not None:
        return counts, out.getvalue()
    return counts, [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_picture_has_one_line_in_order(router, pictures):
    counts, lines = route(router, pictures)
    names = [(os.path.relpath(line["path"], pictures), line.get("index")) for line in lines]
    assert names == [
        *((f"{i}.png", None) for i in (1, 3, 5, 7, 9)),
        ("dangling.png", None),
        ("empty.png", None),
        ("stack.npz", 0),
        ("stack.npz", 1),
        ("stack.npz", 2),
        *((f"sub.png/{i}.png", None) for i in (0, 2, 4, 6, 8)),
        ("text.jpg", None),
    ]
    failed = {
        os.path.relpath(line["path"], pictures): line["error"] for line in lines if "error" in line
    }
    assert failed == {
        "dangling.png": "no such file",
        "empty.png": "not an image",
        "text.jpg": "not an image",
    }
    assert counts == (13, 3)
    assert router.batches == [4, 4, 4, 1]


def test_each_line_is_of_its_own_picture(router, pictures):
    """Batches, threads and failures between must not shift a result to a neighbour."""
    _, lines = route(router, pictures)
    for line in lines:
        if "error" not in line and line["path"].endswith(".png"):
            with Image.open(line["path"]) as picture:
                expected = router.decide(np.asarray(picture).mean() / 255).epistemic
            assert line["epistemic"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_broken_off_anywhere_it_ends_as_if_it_never_was(router, pictures, tmp_path, form):
    lines = Jsonl() if form == "jsonl" else Csv(router.classes)
    _, whole = route(router, pictures, lines=lines)
    whole = lines.header + whole
    for cut in {
        0,
        1,
        7,
        len(lines.header),
        len(lines.header) + 1,
        *range(0, len(whole), 97),
        len(whole) - 1,
        len(whole),
    }:
        path = tmp_path / "lines"
        path.write_bytes(whole[:cut])
        done = resume(path, lines)
        kept = path.read_bytes()
        assert whole.startswith(kept) and len(kept) <= cut
        assert kept.count(b"\n") == max(whole[:cut].count(b"\n"), 0)
        with open(path, "ab") as out:
            if out.tell() == 0:
                out.write(lines.header)
            counts = pipeline.route_items(router, done.skip(sources.items([pictures])), lines, out)
        assert path.read_bytes() == whole
        assert (done.routed + counts.routed, done.failed + counts.failed) == (13, 3)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_only_what_this_router_wrote_is_continued(router, pictures, tmp_path, form):
    """Lines of another router, of none, without a decision, and files that are no lines at all."""

    def lines_of(name):
        return Jsonl(name) if form == "jsonl" else Csv(router.classes, router=name)

    ours = lines_of("uar 0a1b")
    _, whole = route(router, pictures, lines=ours)
    path = tmp_path / "lines"
    rows = whole.splitlines(keepends=True)
    path.write_bytes(ours.header + b"".join(rows[:5]) + rows[5][:30])
    assert resume(path, ours).pictures == 5
    undecided = rows[0].replace(b"accept", b"").replace(b"reject", b"")
    foreign = {
        "another router": whole.replace(b"uar 0a1b", b"uar 9f9f"),
        "no router": route(router, pictures, lines=lines_of(""))[1],
        "no decision": undecided,
        "a document": b'{"path": "x", "years of work": 1}',
        "its beginning": b'{"path": "x", "years of w',
        "a torn document": b'{"pa',
        "a list": b"[1, 2, 3]\n",
        "a text": b"dear diary,\ntoday",
    }
    for content in foreign.values():
        path.write_bytes(ours.header + content)
        with pytest.raises(ValueError, match="is no line that this command writes"):
            resume(path, ours)
        assert path.read_bytes() == ours.header + content


def test_no_cell_is_a_formula_and_no_name_steers_a_terminal(router, tmp_path):
    names = ["=1+1.png", "@sum.png", "a\x1b[2Jb.png", "a\nb.png", "-5.png"]
    for name in names:
        Image.fromarray(np.full((20, 20), 9, np.uint8)).save(tmp_path / name)
    lines = Csv(router.classes)
    _, table = route(router, tmp_path, lines=lines)
    text = table.decode()
    assert "\x1b" not in text and r"a\x1b[2Jb.png" in text and r"a\nb.png" in text
    whole = route(router, *(f"{tmp_path}/{name}" for name in names), lines=lines)[1]
    for row in csv.reader(io.StringIO(whole.decode())):
        assert not any(cell.startswith(("=", "+", "@")) for cell in row)
    path = tmp_path / "lines.csv"
    path.write_bytes(lines.header + whole)
    done = resume(path, lines)
    assert done.pictures == 5
    assert list(done.skip(sources.items([f"{tmp_path}/{name}" for name in names]))) == []


def test_what_json_does_not_have_is_not_passed_on(router, pictures):
    """A caller's NaN, and lines nested without end, which end nothing else."""
    good = pictures / "1.png"
    stream = (
        f'{{"path": "{good}", "x": NaN, "y": [Infinity, {{"z": -Infinity}}]}}\n'
        + '{"a":' * 100_000
        + f"\n{good}\nnul\0.png\n"
    )
    counts, lines = route(router, "-", stdin=io.BytesIO(stream.encode()))
    assert counts == (2, 2)
    assert (lines[0]["x"], lines[0]["y"]) == (None, [None, {"z": None}])
    assert "nested more than" in lines[1]["error"] and len(lines[1]["path"]) < 300
    assert "NUL" in lines[3]["error"]


def test_rows_of_arrays_wait_for_one_another(router, tmp_path, monkeypatch):
    """However many rows an array claims, those in memory are few; and none waits for itself."""
    monkeypatch.setattr(sources, "_ROWS", sources.PixelBudget(2 * 48 * 48))
    images = np.random.default_rng(0).integers(0, 255, (40, 48, 48, 1), np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    counts, lines = route(router, tmp_path)
    assert counts == (40, 0)
    assert sources.count([tmp_path]) == 40
    path = tmp_path / "lines"
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines[:20]))
    left = resume(path, Jsonl()).skip(sources.items([tmp_path / "a.npz"]))
    assert [item.row for item in left] == list(range(20, 40))


def test_an_array_that_claims_what_it_has_not_is_one_error(router, tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1, 1), np.uint8))
    for shape in ((10**9, 0, 0), (10**9, 48, 48), (3, 10**5, 10**5), (3, 8, 8)):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            buffer = io.BytesIO()
            np.lib.format.write_array_header_1_0(buffer, {**header, "shape": shape})
            size = int(np.prod(shape)) if shape[1] == 8 else 0
            archive.writestr("images.npy", buffer.getvalue() + bytes(size))
        counts, lines = route(router, tmp_path)
        assert counts == (0, 1) and lines[0]["error"].startswith("unreadable .npz: ")


def test_what_came_and_went_between_is_seen(router, pictures, tmp_path):
    """A folder may change while a run is broken off: new pictures are routed, twice named ones have
    two lines."""
    path = tmp_path / "lines.jsonl"
    _, before = route(router, pictures, pictures / "1.png", lines=Jsonl())
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:9]))
    (pictures / "0_new.png").write_bytes((pictures / "1.png").read_bytes())
    (pictures / "9.png").unlink()
    done = resume(path, Jsonl())
    todo = [
        (os.path.basename(item.path), item.row)
        for item in done.skip(sources.items([pictures, pictures / "1.png"]))
    ]
    assert todo[:2] == [("0_new.png", None), ("stack.npz", 2)]
    assert todo[-1] == ("1.png", None)
    assert len(todo) == 9


def test_what_is_no_file_of_lines_is_left_alone(router, tmp_path):
    path = tmp_path / "precious"
    foreign = (
        (b"my diary\nline 2\n", Jsonl()),
        (b"my diary", Jsonl()),
        (b'{"x": 1}\n', Jsonl()),
        (b"path,mine\na,b\n", Csv(router.classes)),
    )
    for content, lines in foreign:
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"precious line 1 is no line that this command writes .* --overwrite"
        ):
            resume(path, lines)
        assert path.read_bytes() == content


def test_faces_of_one_picture_stay_together(router, tmp_path, rng):
    """A picture counts as done with its last face; broken off between its faces, all of them are
    routed again."""
    for name in "abc":
        Image.fromarray(rng.integers(0, 255, (90, 200), np.uint8)).save(tmp_path / f"{name}.png")

    def find(gray):
        return [(0, 0, 40, 40), (100, 10, 60, 60), (10, 30, 50, 50)]

    counts, lines = route(router, tmp_path, find=find)
    assert counts == (9, 0) and router.batches == [4, 4, 1]
    assert [(line["face"], line["faces"]) for line in lines] == [(0, 3), (1, 3), (2, 3)] * 3
    assert lines[0]["box"] == [100, 10, 60, 60]
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:5]))
    done = resume(path, Jsonl())
    assert len(path.read_text().splitlines()) == 3
    assert [os.path.basename(item.path) for item in done.skip(sources.items([tmp_path]))] == [
        "b.png",
        "c.png",
    ]


def test_a_picture_without_a_face_is_routed_whole_and_says_so(router, pictures):
    _, lines = route(router, pictures / "1.png", find=lambda gray: [])
    assert lines[0]["face"] is None and "box" not in lines[0] and lines[0]["action"]
    _, table = route(router, pictures / "1.png", lines=Csv(router.classes), find=lambda gray: [])
    assert table.split(b",")[2] == b"none"


def test_a_stream_carries_its_own_keys_through(router, pictures):
    good = pictures / "1.png"
    stream = "\n".join(
        [
            str(good),
            json.dumps({"path": str(good), "id": 7, "label": "mine"}),
            "",
            '{"path"',
            '{"id": 8}',
            "absent.png",
            json.dumps({"path": str(pictures / "stack.npz"), "id": 9}),
        ]
    )
    counts, lines = route(router, "-", stdin=io.BytesIO(stream.encode()))
    assert counts == (5, 3)
    assert (
        lines[1]["id"] == 7
        and lines[1]["passthrough_label"] == "mine"
        and lines[1]["label"] == "neutral"
    )
    assert "line 4 of the stream is not JSON" in lines[2]["error"]
    assert lines[3]["id"] == 8 and 'line 5 of the stream has no "path"' in lines[3]["error"]
    assert lines[4] == {"path": "absent.png", "error": "no such file"}
    assert [(line["index"], line["id"]) for line in lines[5:]] == [(0, 9), (1, 9), (2, 9)]


def test_a_live_stream_is_answered_before_it_ends(router, pictures):
    """One picture, then silence: its line comes although the batch is not full and the stream is
    open."""
    reader, writer = os.pipe()
    out = io.BytesIO()
    with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as feed:
        thread = threading.Thread(
            target=pipeline.route_items, args=(router, sources.items(["-"], stdin), Jsonl(), out)
        )
        thread.start()
        feed.write(f"{pictures / '1.png'}\n".encode())
        deadline = time.monotonic() + 20
        while not out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
        answered = out.getvalue()
        feed.close()
        thread.join(20)
    assert json.loads(answered)["action"] in ("accept", "reject")
    assert not thread.is_alive()


def test_names_that_are_no_text_come_back_as_they_were(router, tmp_path, rng):
    odd = [
        os.fsencode(tmp_path) + b"/caf\xe9.png",
        os.fsencode(tmp_path) + b'/line\nbreak, "quoted".png',
    ]
    for name in odd:
        with open(name, "wb") as file:
            Image.fromarray(rng.integers(0, 255, (48, 48), np.uint8)).save(file, "PNG")
    _, lines = route(router, tmp_path)
    assert sorted(os.fsencode(line["path"]) for line in lines) == sorted(odd)
    form = Csv(router.classes)
    counts, table = route(router, tmp_path, lines=form)
    assert counts == (2, 0) and table.count(b"\n") == 2
    path = tmp_path / "t.csv"
    path.write_bytes(form.header + table)
    assert list(resume(path, form).skip(sources.items([tmp_path]))) == []
    assert b"caf\xe9.png" in table
    _, from_stream = route(router, "-", stdin=io.BytesIO(odd[0] + b"\n"))
    assert os.fsencode(from_stream[0]["path"]) == odd[0]


def test_the_table_says_what_the_lines_say(router, pictures):
    _, lines = route(router, pictures)
    form = Csv(router.classes)
    _, table = route(router, pictures, lines=form)
    rows = list(csv.DictReader(io.StringIO((form.header + table).decode())))
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines):
        assert row["path"] == line["path"] and row["error"] == line.get("error", "")
        if "action" in line:
            assert row["why"] == line["why"]
            assert float(row["p_neutral"]) == line["probs"]["neutral"]


def test_an_error_in_the_model_ends_the_run_and_its_threads(router, pictures):
    def broken(faces):
        raise RuntimeError("out of memory")

    broken.batch_size = 4
    broken.side = 48
    broken.colour = False
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"):
        route(broken, pictures)
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before


def test_an_error_in_the_sources_ends_the_run(router):
    def items():
        raise OSError("the disk is gone")
        yield

    with pytest.raises(OSError, match="the disk is gone"):
        pipeline.route_items(router, items(), Jsonl(), io.BytesIO())


def test_what_is_decoded_ahead_is_bounded(router):
    """However many pictures there are, only a few batches are in memory."""
    loaded = [0]
    most = [0]

    def load(side, find, colour):
        loaded[0] += 1
        return [({}, np.zeros((48, 48), np.uint8))]

    def items():
        for i in range(400):
            most[0] = max(most[0], loaded[0] - sum(router.batches))
            yield sources.Item(f"{i}.png", load)

    counts = pipeline.route_items(router, items(), Jsonl(), io.BytesIO())
    assert counts == (400, 0)
    assert most[0] <= (pipeline.AHEAD + 3) * router.batch_size
