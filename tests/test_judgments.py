"""The file of judgments: written and read whole, and what does not fit named."""

import dataclasses

import numpy as np
import pytest

from ferjax.judgments import Judge, Judgments, text_hash

CLASSES = ("joy", "anger", "neutral")


@pytest.fixture
def multi():
    counts = np.array([[[3, 2, 0], [0, 0, 4]], [[2, 0, 0], [1, 1, 1]]], np.int32)
    return Judgments(
        kind="multi",
        classes=CLASSES,
        judges=(Judge("a", 0.7), Judge("a", 1.0)),
        ids=np.array(["x", "yy"]),
        asked=np.array([[4, 5], [2, 3]], np.int32),
        unparsed=np.array([[0, 1], [0, 0]], np.int32),
        counts=counts,
        hashes=np.array([text_hash("one"), text_hash("two")]),
    )


@pytest.fixture
def real(multi):
    values = np.full((2, 2, 5, 2), np.nan, np.float32)
    for judge, item in np.ndindex(2, 2):
        values[judge, item, : multi.answered[judge, item]] = 3.5
    return dataclasses.replace(
        multi, kind="real", classes=("valence", "arousal"), counts=None, values=values
    )


@pytest.fixture
def sets(multi):
    chosen = np.zeros((2, 2, 4, 3), bool)
    for judge, item, name in np.ndindex(multi.counts.shape):
        chosen[judge, item, : multi.counts[judge, item, name], name] = True
    return dataclasses.replace(multi, sets=chosen)


@pytest.fixture
def counted(multi):
    return dataclasses.replace(multi, tokens=np.array([[120, np.nan], [60, 0]], np.float32))


@pytest.mark.parametrize("kind", ["multi", "sets", "real", "counted"])
def test_a_file_gives_back_what_was_written(kind, tmp_path, request):
    written = request.getfixturevalue(kind)
    written.save(tmp_path / "j.npz")
    read = Judgments.load(tmp_path / "j.npz")
    for field in dataclasses.fields(Judgments):
        before = getattr(written, field.name)
        np.testing.assert_array_equal(getattr(read, field.name), before)
    assert read.judges[0].name == "a, t 0.7"


@pytest.mark.parametrize(
    "kind, change, message",
    [
        ("multi", {"kind": "single"}, "judge 'a, t 0.7', item x: counts do not fit"),
        ("multi", {"kind": "vote"}, "kind must be one of single, multi"),
        ("multi", {"kind": "real"}, "values, got counts"),
        ("multi", {"judges": (Judge("a"), Judge("a"))}, "judge 'a' is there twice"),
        ("multi", {"ids": np.array(["x", "x"])}, "item 'x' is there twice"),
        ("multi", {"classes": CLASSES[:2]}, r"counts must be \(2, 2, 2\)"),
        ("multi", {"unparsed": np.full((2, 2), 9)}, "more answers unparsed than came"),
        ("multi", {"asked": np.full((2, 2), -1)}, "whole numbers >= 0"),
        ("multi", {"asked": np.full((2, 2), 0.5)}, "whole numbers >= 0"),
        ("sets", {"counts": np.zeros((2, 2, 3), int)}, "item x: sets do not add up to counts"),
        ("sets", {"asked": np.full((2, 2), 9)}, "item x: fewer sets than answers"),
        ("sets", {"sets": np.zeros((2, 2, 4, 2), bool)}, r"got \(2, 2, 4, 2\) of kind multi"),
        ("counted", {"tokens": np.full((2, 2), -1.0)}, "item x: tokens are no number >= 0"),
        ("counted", {"tokens": np.ones(2)}, r"tokens must be \(2, 2\)"),
        ("real", {"asked": np.full((2, 2), 5)}, "number of values"),
        ("real", {"kind": "multi"}, "are counts, got values"),
    ],
)
def test_what_does_not_fit_is_named(kind, change, message, request):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(request.getfixturevalue(kind), **change)


def test_an_answer_with_half_its_dimensions_is_refused(real):
    values = real.values.copy()
    values[1, 0, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"'a, t 1', item x: an answer lacks a dimension"):
        dataclasses.replace(real, values=values)


def test_another_file_is_named(tmp_path):
    np.savez(tmp_path / "p.npz", log_probs=np.zeros((1, 1, 1)))
    with pytest.raises(ValueError, match=r"p\.npz: not judgments: no array asked; found log_probs"):
        Judgments.load(tmp_path / "p.npz")
    with pytest.raises(FileNotFoundError, match="no judgments at"):
        Judgments.load(tmp_path / "none.npz")
