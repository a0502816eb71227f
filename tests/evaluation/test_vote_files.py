"""Files of votes, as spreadsheets and other programs write them."""

import numpy as np
import pytest

from ferjax.evaluation import readers
from ferjax.evaluation.vote_files import read_votes
from ferjax.events import Message

CLASSES = ("calm", "glad", "sad")
COUNTS = np.array([[3, 0, 2], [0, 5, 1], [4, 4, 0]])


def table(header, rows, encoding="utf-8"):
    text = "\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)])
    return text.encode(encoding)


@pytest.fixture
def read(tmp_path):
    def of(content, names=None, ids=None):
        (tmp_path / "votes.csv").write_bytes(content)
        return read_votes(tmp_path / "votes.csv", 3, names, ids)

    return of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_floats_of_spreadsheets(read, encoding):
    got = read(table(CLASSES, COUNTS.astype(float), encoding))
    np.testing.assert_array_equal(got.counts, COUNTS)
    assert got.classes == CLASSES


def test_columns_are_paired_by_name(read):
    header = ("age", "SAD", "glad ", "calm", "NF")
    rows = [(44, *row[::-1], 7) for row in COUNTS]
    got = read(table(header, rows), names=CLASSES)
    np.testing.assert_array_equal(got.counts, COUNTS)
    np.testing.assert_array_equal(got.abstentions[:, 1], [7, 7, 7])
    assert got.notes == ("votes: column age is no class and passed over",)
    with pytest.raises(ValueError, match="line 1: no column angry; its columns are age, SAD"):
        read(table(header, rows), names=("calm", "glad", "angry"))


def test_the_test_rows_of_all_splits(read):
    rows = [("Training", 9, 9, 9), *(("PrivateTest", *row) for row in COUNTS)]
    got = read(table(("Usage", *CLASSES), rows))
    np.testing.assert_array_equal(got.counts, COUNTS)
    assert "votes: 3 of 4 rows, those whose usage is PrivateTest" in got.notes
    with pytest.raises(ValueError, match="column usage holds holdout, training"):
        read(table(("Usage", *CLASSES), [("Training", 1, 1, 1), ("holdout", 1, 1, 1)]))


def test_shares_are_shares(read):
    got = read(table(CLASSES, COUNTS / COUNTS.sum(1, keepdims=True)))
    assert got.counts is None
    np.testing.assert_allclose(got.shares.sum(1), 1)
    assert any("what needs counts" in note for note in got.notes)


@pytest.mark.parametrize(
    "content, message",
    [
        (table(("id", *CLASSES), [(1, 1, 1, 1), (2, 1, 1, 1), (1, 9, 9, 9)]), "line 4: id '1' is "),
        (table(CLASSES, [[1, 1, 1e20]]), r"line 2, votes row 0: expected whole counts.*at most"),
        (table(CLASSES, [[1, 1, 0.5], [1, 0, 0]]), "line 2, votes row 0: expected whole counts"),
        (table(("calm", "glad", "total"), [[1, 2, 3], [2, 2, 4], [1, 0, 1]]), "'total' is the sum"),
        (table(("calm", "calm", "sad"), COUNTS), "line 1: column 'calm' is there twice"),
        (table(("café", "b", "c"), COUNTS, "latin-1"), "line 1: not UTF-8 text .byte 0xe9"),
        (b"a;b;c\n1;2;3", "line 1: fields are separated by semicolons"),
        (table(CLASSES, [["x" * 2**21, 1, 1]]), "line 2: not a CSV file: field larger than"),
        (b'a,b,c\n"1,2,3', "line 2: not a CSV file"),
        (b"a,b,c\n1,2,\0", "line 2: holds NUL characters"),
    ],
)
def test_other_tables_are_refused_by_line(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


def test_text_ids_pair_files(tmp_path, rng):
    names = np.array(["c.png", "a.png", "b.png"])
    logits = rng.normal(size=(2, 3, 3))
    np.savez(tmp_path / "test.npz", logits=logits, ids=names)
    rows = [(name, *row) for name, row in zip(("a.png", "b.png", "c.png"), COUNTS)]
    (tmp_path / "votes.csv").write_bytes(table(("Image name", *CLASSES), rows))
    heard = []
    got = readers.load([tmp_path / "test.npz"], tmp_path / "votes.csv", heard.append)
    np.testing.assert_array_equal(got.predictions["test"].votes, COUNTS[[2, 0, 1]])
    said = " ".join(event.text for event in heard if isinstance(event, Message))
    assert "paired by column image name" in said and "paired with the predictions by id" in said
    got.predictions["test"].save(tmp_path / "again.npz")
    assert readers.read_condition(tmp_path / "again.npz")[0].ids.tolist() == names.tolist()
    # Without ids of the predictions rows pair, and that is told.
    np.savez(tmp_path / "test.npz", logits=logits)
    heard.clear()
    got = readers.load([tmp_path / "test.npz"], tmp_path / "votes.csv", heard.append)
    np.testing.assert_array_equal(got.predictions["test"].votes, COUNTS)
    assert "by row" in heard[-1].text


def test_classes_of_arrays_are_paired_by_name(tmp_path, rng):
    probs = rng.dirichlet(np.ones(3), (2, 3))
    np.savez(tmp_path / "test.npz", probs=probs, classes=np.array(CLASSES))
    turned = np.array(["Sad", "Calm", "Glad"])
    np.savez(tmp_path / "cats.npz", probs=probs[..., [2, 0, 1]], classes=turned)
    np.savez(tmp_path / "votes.npz", votes=COUNTS[:, [2, 0, 1]], classes=turned)
    got = readers.load([tmp_path / "test.npz", tmp_path / "cats.npz"], tmp_path / "votes.npz")
    np.testing.assert_array_equal(got.predictions["test"].votes, COUNTS)
    for name in ("test", "cats"):
        assert got.predictions[name].classes == CLASSES
        np.testing.assert_allclose(np.exp(got.predictions[name].log_probs), probs, atol=1e-6)
    np.savez(tmp_path / "cats.npz", probs=probs, classes=np.array(["x", "y", "z"]))
    with pytest.raises(ValueError, match="condition cats: its classes are x, y, z, expected calm"):
        readers.load([tmp_path / "test.npz", tmp_path / "cats.npz"])


@pytest.mark.parametrize(
    "name, about, message",
    [
        ("train", {}, "named after the training split"),
        ("valid_cats", {}, "could be a part of that split, or another set"),
        ("valid_blur_7", {}, "severity must be 1 to 5, got 7"),
        ("blur_9", {}, "condition blur_9: severity must be 1 to 5, got 9"),
        ("cats_3", {"rows": 2}, "called like the test items under cats at severity 3, but has 2"),
        (
            "x",
            {"meta": '{"corruption": "blur", "severity": 99}'},
            "severity must be 1 to 5, got 99",
        ),
        ("x", {"meta": "[" * 200 + "]" * 200}, "meta: nested more than"),
        ("x", {"ids": np.array([1, 1, 2])}, "id 1 is there 2 times"),
        ("x", {"ids": np.array(["2020"], "M8[D]").repeat(3)}, "ids must be numbers or texts"),
        ("x", {"votes": np.full((3, 3), 10**20, float)}, "array votes: votes row 0: expected"),
        ("x", {"scores_a": np.array(["u", "v", "w"])}, "scores 'a' must be numbers"),
    ],
)
def test_names_and_arrays_that_mean_two_things_are_refused(tmp_path, rng, name, about, message):
    probs = rng.dirichlet(np.ones(3), (2, 3))
    np.savez(tmp_path / "test.npz", probs=probs)
    np.savez(tmp_path / "blur_2.npz", probs=probs)
    rows = about.pop("rows", 3)
    np.savez(tmp_path / f"{name}.npz", probs=probs[:, :rows], **about)
    with pytest.raises(ValueError, match=message):
        readers.load([tmp_path])


def test_what_every_file_was_taken_for_is_told(tmp_path, rng):
    probs = rng.dirichlet(np.ones(3), (2, 3))
    for name in ("test", "val", "blur_2", "blur_4", "valid_blur_3", "cats"):
        np.savez(tmp_path / f"{name}.npz", probs=probs)
    heard = []
    got = readers.load([tmp_path], on_event=heard.append)
    said = "\n".join(event.text for event in heard if isinstance(event, Message))
    assert "the test items under blur, severities 2, 4 (by its name)" in said
    assert "the clean valid items (by its name)" in said
    assert "cats: probs (as it says) of 2 members, 3 items, 3 classes; an out-of-" in said
    assert (got.predictions["valid_blur_3"].split, got.predictions["valid"].split) == (
        "valid",
        "valid",
    )
