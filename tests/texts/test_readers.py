"""Panels as they are published: what is read, what is kept apart, and what is refused where."""

import json

import numpy as np
import pytest

from ferjax.texts.readers import read_panel

EMOTIONS = ("joy", "anger", "neutral")
RAW_HEADER = "text,id,author,rater_id,example_very_unclear," + ",".join(EMOTIONS)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    write(
        folder / "goemotions_1.csv",
        RAW_HEADER,
        '"Two lines,\nof text",x1,me,7,False,1,0,0',
        '"Two lines,\nof text",x1,me,8,False,1,1,0',
        '"Two lines,\nof text",x1,me,9,True,0,0,0',
    )
    write(folder / "goemotions_2.csv", RAW_HEADER, "Other,x2,me,7,False,0,0,1")
    return folder


def test_raw_files_of_goemotions(raw):
    panel = read_panel(raw)
    r = panel.ratings
    assert (r.kind, r.classes, r.ids.tolist()) == ("multi", EMOTIONS, ["x1", "x2"])
    assert r.counts.tolist() == [[2, 1, 0], [0, 0, 1]]
    assert r.raters_of.tolist() == [2, 1]
    assert r.unclear.tolist() == [1, 0]
    assert r.raters == ("7", "8")
    assert r.texts == ("Two lines,\nof text", "Other")
    assert len(panel.files) == 2
    assert "2 items, 3 ratings (1 – 2 an item) by 2 raters, 1 ratings apart as unclear" in (
        panel.summary
    )
    assert read_panel(raw / "goemotions_2.csv").ratings.counts.tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    "row, message",
    [
        ("Other,x2,me,8,False,0,0,2", r"_2\.csv, line 3: neutral must be 0 or 1.*'2'"),
        ("Other,x2,me,8,True,0,0,1", r"line 3: a rating is very unclear and names an emotion"),
        ("Else,x2,me,8,False,0,0,1", r"line 3: item x2 has another text than before"),
        ("Other,x2,me,7,False,0,0,1", r"line 3: rater 7 rates item x2 twice"),
        ("Other,x2,me,8,False,0,0", r"line 3: 7 fields, expected 8"),
        ("Other,,me,8,False,0,0,1", r"line 3: id must be text, got ''"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(raw, row, message):
    path = raw / "goemotions_2.csv"
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(ValueError, match=message):
        read_panel(raw)


def rated(*items):
    return [json.dumps({"id": f"i{k}", "text": f"t{k}", "ratings": r}) for k, r in enumerate(items)]


def test_labels_of_raters(tmp_path):
    lines = rated(
        [{"rater": "a", "labels": ["joy", "anger"]}, {"rater": "b", "labels": []}],
        [{"rater": "b", "labels": [], "unclear": True}],
    )
    r = read_panel(write(tmp_path / "p.jsonl", *lines), classes=EMOTIONS).ratings
    assert (r.kind, r.counts.tolist()) == ("multi", [[1, 1, 0], [0, 0, 0]])
    assert (r.raters_of.tolist(), r.unclear.tolist()) == ([2, 0], [0, 1])


def test_intensities_of_raters(tmp_path):
    lines = rated([{"rater": "a", "intensity": {"joy": 3, "fear": 0}}], [])
    r = read_panel(write(tmp_path / "p.jsonl", *lines)).ratings
    assert (r.kind, r.classes, r.levels) == ("ordinal", ("joy", "fear"), (0.0, 1.0, 2.0, 3.0))
    table, who = r.by_item
    assert table[0].tolist() == [[3.0, 0.0]] and np.isnan(table[1]).all()
    assert who.tolist() == [[0], [-1]]


@pytest.mark.parametrize(
    "rating, message",
    [
        ({"rater": "b", "labels": ["glee"]}, "line 2: label 'glee' is none of the 3 classes"),
        ({"rater": "b", "labels": ["joy", "joy"]}, "line 2: a rating names a label twice"),
        ({"rater": "b", "labels": "joy"}, "line 2: a rating needs labels"),
        ({"rater": "b", "labels": ["joy"], "unclear": True}, "line 2: .* unclear and names"),
        ({"rater": "b", "labels": ["joy"], "unclear": 1}, "line 2: unclear must be true or false"),
        ({"labels": ["joy"]}, "line 2: some ratings have a rater and some have not"),
        ({"rater": "a", "labels": ["joy"]}, "line 2: a rater rates the item twice"),
        ({"rater": "b", "intensity": {"joy": "x"}}, "line 2: joy must be a number, got 'x'"),
    ],
)
def test_a_bad_object_is_named_by_file_and_line(tmp_path, rating, message):
    good = [{"rater": "a", "labels": ["joy"]}]
    path = write(tmp_path / "p.jsonl", *rated(good, [*good, rating]))
    with pytest.raises(ValueError, match=r"p\.jsonl, " + message):
        read_panel(path, classes=EMOTIONS)


def test_a_line_that_is_cut(tmp_path):
    path = write(tmp_path / "p.jsonl", *rated([{"rater": "a", "labels": ["joy"]}]), '{"id": "x"')
    with pytest.raises(ValueError, match=r"p\.jsonl, line 2: not JSON"):
        read_panel(path)


def test_a_long_table_of_labels(tmp_path):
    lines = ("text_id;annotator;label;text", "x;a;joy;T", "x;a;anger;T", "x;b;;T", "y;b;unclear;U")
    panel = read_panel(write(tmp_path / "p.csv", *lines))
    r = panel.ratings
    assert (r.kind, r.classes) == ("multi", ("anger", "joy"))
    assert (r.counts.tolist(), r.raters_of.tolist()) == ([[1, 1], [0, 0]], [2, 0])
    assert (r.unclear.tolist(), r.texts) == ([0, 1], ("T", "U"))
    assert "item is column 'text_id', rater is column 'annotator'" in panel.notes[0]


def test_one_label_each_is_single(tmp_path):
    path = write(tmp_path / "p.csv", "item,rater,label", "x,a,joy", "x,b,joy", "y,a,anger")
    assert read_panel(path).ratings.kind == "single"
    assert read_panel(path, kind="multi").ratings.kind == "multi"
    path.write_text(path.read_text() + "y,a,joy\n")
    with pytest.raises(ValueError, match=r"p\.csv, line 5: rater a gives item y a second label"):
        read_panel(path, kind="single")


def test_a_long_table_of_values(tmp_path):
    path = write(tmp_path / "p.csv", "item,rater,V,A", "x,a,1.5,2", "x,b,2.5,3")
    r = read_panel(path).ratings
    assert (r.kind, r.classes, r.levels) == ("real", ("V", "A"), None)
    path.write_text(path.read_text() + "y,b,nan,3\n")
    with pytest.raises(ValueError, match=r"p\.csv, line 4: V must be a finite number, got 'nan'"):
        read_panel(path)


def test_counts_of_people(tmp_path):
    path = write(tmp_path / "p.csv", "name,happy,sad,unknown", "x,2,1,3", ",0,0,9", "x,2,1,3")
    panel = read_panel(path)
    r = panel.ratings
    assert (r.kind, r.counts.tolist(), r.unclear.tolist()) == ("single", [[2, 1]], [3])
    assert r.rater is None
    assert "1 rows that repeat an item and add no rating left out" in panel.notes
    path.write_text(path.read_text() + "x,1,1,3\n")
    with pytest.raises(ValueError, match="line 5: item x is there twice, with other counts"):
        read_panel(path)
    several = write(tmp_path / "q.csv", "item,joy,anger,raters", "x,3,1,3")
    r = read_panel(several).ratings
    assert (r.kind, r.counts.tolist(), r.raters_of.tolist()) == ("multi", [[3, 1]], [3])
    several.write_text(several.read_text() + "y,4,1,3\n")
    with pytest.raises(ValueError, match="line 3: more people chose a class than the 3 who judged"):
        read_panel(several)


def test_a_foreign_file_says_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="is none of: a JSON object with ratings"):
        read_panel(write(tmp_path / "p.csv", "a,b", "1,2"))
    with pytest.raises(ValueError, match="the first line is empty"):
        read_panel(write(tmp_path / "p.csv", ""))
    with pytest.raises(FileNotFoundError, match="no panel at"):
        read_panel(tmp_path / "none.csv")
    (tmp_path / "p.csv").write_bytes(b"\xff\xffa")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_panel(tmp_path / "p.csv")


@pytest.mark.rehearsal
def test_the_published_panels(shared_data):
    """What the files hold, as their documentation says it."""
    emotions = read_panel(shared_data / "text" / "goemotions_raters.jsonl").ratings
    assert (len(emotions.ids), len(emotions.item), len(emotions.classes)) == (1565, 7468, 28)
    assert int(emotions.unclear.sum()) == 211
    german = read_panel(shared_data / "text" / "brighter_deu.jsonl").ratings
    assert (german.kind, len(german.ids), german.levels) == ("ordinal", 5407, (0.0, 1.0, 2.0, 3.0))
    assert (german.raters_of.min(), german.raters_of.max()) == (5, 9)
    bank = read_panel(shared_data / "emobank" / "individual_reader_ratings.csv")
    assert (bank.ratings.kind, len(bank.ratings.ids)) == ("ordinal", 10548)
    assert "486 items have no text" in bank.notes[1]
    faces = read_panel(shared_data / "fer2013new_published.csv").ratings
    assert (faces.kind, len(faces.classes)) == ("single", 8)
