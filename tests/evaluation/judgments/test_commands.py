"""The commands compare, calibrate and route from files to files, and on wrong input."""

import json

import numpy as np
import pytest

from ferjax.cli import main


def ferjax(*words):
    with pytest.raises(SystemExit) as exit:
        main([*map(str, words)])
    return exit.value.code or 0


@pytest.fixture(scope="module")
def files(worlds, tmp_path_factory):
    """A panel as a long table, its two halves, and judgments of all."""
    folder = tmp_path_factory.mktemp("judges")
    ratings, _, judgments, _ = worlds["single"]
    lines = [
        f"t{item},{rater},{ratings.classes[int(np.argmax(chosen))]},text number {item}"
        for item, rater, chosen in zip(ratings.item, ratings.rater, ratings.chosen)
    ]
    half = len(lines) // 2
    for name, part in (("panel", lines), ("first", lines[:half]), ("rest", lines[half:])):
        text = "\n".join(["item,rater,label,text", *part])
        (folder / f"{name}.csv").write_text(text + "\n")
    judgments.save(folder / "judges.npz")
    return folder


@pytest.mark.slow
def test_compare_calibrate_route(files, capsys):
    panel = files / "panel.csv"
    judges = files / "judges.npz"
    out = files / "out"
    few = ("--resamples", 100)
    assert ferjax("judge", "compare", panel, judges, "--out", out, *few) == 0
    said = capsys.readouterr()
    assert "is worth" in said.out and "report.html" in said.out
    assert "long table of labels: 240 items, 1,200 ratings" in said.err
    assert f"next: ferjax judge calibrate {panel} {judges}" in said.err.replace("\n", "")
    first = files / "first.csv"
    shrinkage = ("--calibrators", "shrinkage")
    assert ferjax("judge", "calibrate", first, judges, "--out", out, *few, *shrinkage) == 0
    said = capsys.readouterr()
    assert "nats a rating" in said.out
    assert f"next: ferjax judge route {first} {judges}" in said.err.replace("\n", "")
    routed = out / "routed.jsonl"
    flags = ("--max-error", 0.6, "--max-gap", 0.5, "--calibrator", out / "calibrator.json")
    assert ferjax("judge", "route", files / "rest.csv", judges, "--out", routed, *flags) == 0
    said = capsys.readouterr()
    assert "need no further ratings" in said.out
    assert "at most 60 % of the accepted labels" in said.out
    assert "the gap of accepted distributions is at most 0.5" in said.out
    lines = [json.loads(line) for line in routed.read_text().splitlines()]
    assert len(lines) == 240 and {line["action"] for line in lines} <= {"accept", "defer", "ask"}
    summary = json.loads((out / "routed.jsonl.json").read_text())
    certificate = summary["router"]["certificate"]
    assert certificate["accept_error"] == 0.6 and certificate["accept_gap"] == 0.5
    assert certificate["error"] < 0.6 and certificate["gap"] < 0.5
    assert set(summary["shares"]) == {"joy", "anger", "fear", "neutral"}
    expected = {"report.html", "comparison.json", "comparison.csv", "calibrator.json"}
    assert expected <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize(
    "words, said",
    [
        (("compare", "{f}/none.csv", "{f}/judges.npz", "--out", "{f}/x"), "no panel at"),
        (("compare", "{f}/panel.csv", "{f}/none.npz", "--out", "{f}/x"), "no judges at"),
        (("compare", "{f}/panel.csv", "{f}/panel.csv", "--out", "{f}/x"), "neither .npz nor .npy"),
        (
            ("compare", "{f}/panel.csv", "{f}/judges.npz", "{f}/judges.npz", "--out", "{f}/x"),
            "judge 'mean, t 1' is there twice",
        ),
        (
            ("compare", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/x", "--kind", "ordinal"),
            "label must be a number, got",
        ),
        (
            (
                "compare",
                "{f}/panel.csv",
                "{f}/judges.npz",
                "--out",
                "{f}/x",
                "--embeddings",
                "{f}/judges.npz",
            ),
            "--embeddings goes with --lexicon",
        ),
        (
            ("route", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/x", "--max-error", "2"),
            "--max-error must lie between 0 and 1, got 2",
        ),
        (
            ("route", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/x", "--max-gap", "2"),
            "--max-gap must lie between 0 and 2, got 2",
        ),
        (
            ("route", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/no/x"),
            "its folder does not exist",
        ),
        *(
            (
                (command, "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/x", flag, value),
                said,
            )
            for command, flag, value, said in (
                ("compare", "--resamples", "0", "--resamples must be at least 2 and at most"),
                ("compare", "--resamples", "1" + "0" * 12, "and at most 1,000,000, got 1"),
                ("calibrate", "--resamples", "-5", "--resamples must be at least"),
                ("compare", "--seed", "-1", "--seed must be"),
                ("calibrate", "--seed", "9" * 23, "--seed must be"),
                ("route", "--seed", "9" * 23, "--seed must be a whole number in"),
                ("compare", "--margin", "nan", "--margin must be at least 0 and below 1, got nan"),
            )
        ),
        *(
            (("route", "{f}/panel.csv", "{f}/judges.npz", "--out", f"{{f}}/{read}"), "reads it")
            for read in ("panel.csv", "judges.npz")
        ),
        (("compare", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/panel.csv"), "it is a file"),
        (("calibrate", "{f}/panel.csv", "{f}/judges.npz", "--out", "/dev/full"), "it is a file"),
        (
            ("calibrate", "{f}/panel.csv", "{f}/judges.npz", "--out", "{f}/x", "--folds", "999"),
            "cross-fitting takes 2 folds or more, and as many items that differ",
        ),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(files, words, said, capsys):
    assert ferjax("judge", *(word.format(f=files) for word in words)) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert said in message and "Traceback" not in message
    assert not (files / "x").exists()


@pytest.mark.parametrize("command", ["compare", "calibrate"])
def test_people_who_share_no_text_are_refused(files, tmp_path, capsys, command):
    """With one rating a text nobody knows how far people agree, and what a judge is worth."""
    head, *lines = (files / "panel.csv").read_text().splitlines()
    first = {line.split(",")[0]: line for line in reversed(lines)}
    alone = tmp_path / "alone.csv"
    alone.write_text("\n".join([head, *first.values()]) + "\n")
    assert ferjax("judge", command, alone, files / "judges.npz", "--out", tmp_path / "x") == 2
    assert "0 texts have two ratings or more" in capsys.readouterr().err
    assert not list((tmp_path / "x").glob("*"))


def test_judgments_whose_levels_are_none_are_refused(files, tmp_path, capsys):
    with np.load(files / "judges.npz") as arrays:
        kept = dict(arrays)
    meta = json.loads(str(kept["meta"])) | {"levels": [[1, 2, 3]]}
    np.savez(tmp_path / "judges.npz", **{**kept, "meta": json.dumps(meta)})
    words = (files / "panel.csv", tmp_path / "judges.npz", "--out", tmp_path / "x")
    assert ferjax("judge", "compare", *words) == 2
    assert "meta needs kind, classes and judges" in " ".join(capsys.readouterr().err.split())


def test_a_lexicon_that_is_none_is_refused(files, capsys):
    words = files / "words.json"
    words.write_text('{"joy": "happy"}')
    flags = ("--out", files / "x", "--lexicon", words)
    assert ferjax("judge", "compare", files / "panel.csv", files / "judges.npz", *flags) == 2
    assert "expected an object of classes and lists of words" in " ".join(
        capsys.readouterr().err.split()
    )
