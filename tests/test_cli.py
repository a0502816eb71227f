"""The command line on good and bad input; one tiny run is shared by all tests."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ferjax.cli import main
from ferjax.commands.route import SOME_FAILED
from ferjax.config import Config, TrainConfig
from ferjax.ensemble.trained import load_run
from ferjax.locking import FolderLock
from ferjax.predictions import Predictions
from ferjax.serving.class_prior import valid_predictions


def ferjax(*words):
    """Runs a command line and returns its exit status."""
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    return exit.value.code or 0


@pytest.fixture
def pictures(tmp_path, rng):
    folder = tmp_path / "pictures"
    folder.mkdir()
    gray = rng.integers(0, 255, (60, 50), np.uint8)
    Image.fromarray(gray).save(folder / "gray.png")
    Image.fromarray(rng.integers(0, 255, (40, 70, 3), np.uint8)).save(folder / "colour.jpg")
    Image.fromarray(np.zeros((3000, 4000), np.uint8)).save(folder / "large.png")
    Image.fromarray(gray[:1, :1]).save(folder / "one_pixel.png")
    (folder / "text.png").write_text("this is no picture")
    (folder / "truncated.png").write_bytes((folder / "gray.png").read_bytes()[:600])
    np.savez(folder / "stack.npz", images=rng.integers(0, 255, (3, 48, 48), np.uint8))
    return folder


@pytest.mark.slow
def test_every_picture_gets_a_line_and_broken_ones_an_error(run, pictures, tmp_path):
    assert ferjax("route", run, pictures, "--out", tmp_path / "lines.jsonl") == SOME_FAILED
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    failed = {line["path"].rsplit("/", 1)[-1]: line["error"] for line in lines if "error" in line}
    assert set(failed) == {"one_pixel.png", "text.png", "truncated.png"}
    assert "1 x 1" in failed["one_pixel.png"]
    assert failed["text.png"] == "not an image"
    routed = [line for line in lines if "error" not in line]
    assert len(routed) == 6
    for line in routed:
        assert line["action"] in ("accept", "defer", "reject")
        assert line["label"] == max(line["probs"], key=line["probs"].get)
        assert sum(line["probs"].values()) == pytest.approx(1, abs=1e-3)
        assert line["aleatoric"] >= 0 <= line["epistemic"]
        assert line["why"].startswith(line["action"])


@pytest.mark.slow
def test_a_run_holds_everything_later_commands_need(run, tiny):
    tables = json.loads((run / "evaluation.json").read_text())
    assert tables["members"] == 3
    assert set(tables["shift"]["corruptions"]) == {"gnoise"}
    assert tables["pools"]["base"]["random"]["auc"]["value"] == 0.5
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    thresholds = json.loads((run / "thresholds.json").read_text())
    assert {"uar", "density"} <= set(thresholds["routers"])
    assert {"report.html", "evaluation.csv"} <= {path.name for path in run.iterdir()}
    pictures = list(run.glob("*.png"))
    assert {"plane", "severity", "routing"} <= {path.stem for path in pictures}
    for picture in pictures:
        with Image.open(picture) as opened:
            assert opened.width > 100


@pytest.mark.parametrize(
    "words, said",
    [
        (("route", "{run}", "{empty}"), "no picture in this folder"),
        (("route", "{run}", "{empty}/absent.png"), "no such file or folder"),
        (("route", "{bare}", "{run}/plane.png"), "neither a run (config.json) nor a picture is in"),
        (("evaluate", "{bare}"), "is not a run"),
        (("evaluate", "{untrained}"), "holds no checkpoints"),
        (("train", "{bare}/absent.py", "--out", "{bare}/x"), "no configuration file"),
        (("train", "{config}", "--out", "{run}"), "exists and is not empty"),
        (
            ("train", "{config}", "--out", "{bare}/x", "--train.batch-size", "100000"),
            "more than the",
        ),
        (("data", "ferplus", "--votes", "{bare}/absent.csv"), "no such file"),
    ],
)
def test_wrong_input_is_refused_in_words(run, tmp_path, capsys, words, said):
    empty, bare, untrained = (tmp_path / name for name in ("empty", "bare", "untrained"))
    for folder in (empty, bare, untrained):
        folder.mkdir()
    config = tmp_path / "config.json"
    shutil.copy(run / "config.json", config)
    shutil.copy(run / "config.json", untrained)
    places = {"run": run, "empty": empty, "bare": bare, "untrained": untrained, "config": config}
    assert ferjax(*(word.format(**places) for word in words)) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (bare / "x").exists()


def test_unknown_keys_and_impossible_values_are_refused(run, tmp_path, capsys):
    config = tmp_path / "config.json"
    shutil.copy(run / "config.json", config)
    assert ferjax("train", config, "--out", tmp_path / "x", "--train.epohcs", "3") == 2
    assert "--train.epochs" in capsys.readouterr().err
    assert ferjax("train", config, "--out", tmp_path / "x", "--train.seeds") == 2
    assert "at least one member" in " ".join(capsys.readouterr().err.split())
    config.write_text(config.read_text().replace("learning_rate", "lerning_rate"))
    assert ferjax("train", config, "--out", tmp_path / "x") == 2
    assert "did you mean train.learning_rate" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_other_pictures_are_an_ood_set_or_a_labelled_test(run, tmp_path, rng, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    for name in ("happy/1.png", "happy/2.png", "sad/1.png", "sad/2.png"):
        (tmp_path / "labelled" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (60, 50), np.uint8)).save(tmp_path / "labelled" / name)
    np.savez(tmp_path / "noise.npz", images=rng.integers(0, 255, (6, 48, 48), np.uint8))
    np.savez(tmp_path / "office.npz", images=rng.integers(0, 255, (30, 48, 48), np.uint8))
    assert (
        ferjax(
            "evaluate",
            copy,
            "--ood",
            f"noise={tmp_path / 'noise.npz'}",
            f"faces={tmp_path / 'labelled'}",
            "--accept",
            f"office={tmp_path / 'office.npz'}",
            "--prior",
            "sqrt",
        )
        == 0
    )
    assert "under the prior sqrt" in " ".join(capsys.readouterr().out.split())
    tables = json.loads((copy / "evaluation.json").read_text())
    assert tables["shift"]["ood"]["noise"]["items"] == 6
    assert tables["shift"]["labelled"]["faces"]["items"] == 4
    assert tables["shift"]["labelled"]["faces"]["recall"]["sadness"]["items"] == 2
    assert tables["priors"]["name"] == "sqrt"
    # Accepted pictures, strange as they are, are one more group that the promise is kept for.
    thresholds = json.loads((copy / "thresholds.json").read_text())
    density = thresholds["routers"]["density"]
    assert density["reject"]["above"] == density["by_tolerance"]["office"]
    assert density["by_tolerance"]["office"] > density["by_tolerance"]["valid"]
    office = Predictions.load(copy / "predictions" / "valid_accepted_office.npz")
    rejected = office.scores["ood_density"] > density["reject"]["above"]
    assert rejected.mean() <= 0.05 and thresholds["prior"]["name"] == "sqrt"
    again = valid_predictions(copy, load_run(copy))
    assert {p.tolerance for p in again.values()} == {None, "mirrored", "zoom", "office"}
    # Pictures of noise look like no face that the densities were fitted on.
    scores = tables["shift"]["ood"]["noise"]["scores"]
    assert scores["ood_density"]["auroc"]["value"] > 0.9
    capsys.readouterr()
    assert ferjax("evaluate", copy, "--ood", f"test={tmp_path / 'noise.npz'}") == 2
    assert "that name is taken" in " ".join(capsys.readouterr().err.split())
    few = f"few={tmp_path / 'noise.npz'}"
    for flags, said in (
        (("--accept", few), "--accept few=...: 6 pictures cannot promise that at most 5 % of them"),
        (("--accept", f"zoom={tmp_path / 'office.npz'}"), "--accept zoom=...: that name is taken"),
        (("--accept", few, "--ood", few), "few is given to --ood and to --accept"),
        (("--prior", "unifrom"), "no prior 'unifrom': expected training, uniform, sqrt"),
        (("--training-prior", tmp_path / "noise.npz"), "--training-prior goes with --predictions"),
    ):
        assert ferjax("evaluate", copy, *flags) == 2
        assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_sheet_of_corruptions(tmp_path, capsys):
    assert ferjax("corruptions") == 0
    assert "gnoise" in capsys.readouterr().out
    assert (
        ferjax("corruptions", "--sheet", tmp_path / "sheet.png", "--suite", "paper", "--size", "32")
        == 0
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 6 * 32 and sheet.height > 11 * 32


@pytest.mark.parametrize(
    "words, said",
    [
        (["corruptions", "{folder}/none.png", "--sheet", "{folder}/sheet.png"], "none.png"),
        (["corruptions", "{folder}/text.png", "--sheet", "{folder}/sheet.png"], "text.png"),
        (["corruptions", "--sheet", "{folder}/sheet.png", "--size", "8"], "at least 32 pixels"),
        (["corruptions", "{folder}/text.png"], "--sheet"),
    ],
)
def test_no_sheet_of_what_is_no_picture(tmp_path, capsys, words, said):
    (tmp_path / "text.png").write_text("this is no picture")
    assert ferjax(*(word.format(folder=tmp_path) for word in words)) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "sheet.png").exists()


@pytest.fixture
def watched(tmp_path):
    """A run that is known by its configuration and its log alone."""
    config = dataclasses.replace(Config(), train=TrainConfig(seeds=(11, 12), epochs=2))
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / "config.json").write_text(config.to_json())
    lines = [
        {
            "epoch": epoch,
            "step": 5 * epoch,
            "loss": [2.0 / epoch, 1.5],
            "train_accuracy": [0.5, 0.4],
            "skipped": [0, 0],
            "restored": [False, False],
            "frozen": [False, False],
            "valid_accuracy": [0.2 * epoch, 0.3],
            "valid_ensemble_accuracy": 0.4,
        }
        for epoch in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_is_watched_member_by_member(watched, capsys):
    assert ferjax("watch", watched) == 0
    said = capsys.readouterr().out
    assert "step 10, epoch 2" in said
    assert said.splitlines()[-2:] == ["finished", f"next: ferjax evaluate {watched}"]
    first, second = (
        next(line for line in said.splitlines() if f" {seed} " in line) for seed in (11, 12)
    )
    assert "1.0000" in first and "0.400" in first and "█▁" in first
    assert "1.5000" in second and "0.300" in second and "▁▁" in second


def test_following_a_run_that_ended_tells_every_line(watched, capsys):
    assert ferjax("watch", watched, "--follow") == 0
    *said, how, _ = capsys.readouterr().out.splitlines()
    assert how == "finished"
    assert [line.split("  loss")[0].split() for line in said] == [
        ["epoch", "1/2", "step", "5"],
        ["epoch", "2/2", "step", "10"],
    ]


def _locked(folder, process):
    """Leaves what a process that works in a folder, or was killed in it, leaves there."""
    lock = FolderLock(folder)
    lock.take()
    if process == "alive":
        return lock
    os.close(lock._lock)  # the kernel does this for a process that is gone
    return None


@pytest.mark.parametrize(
    "note, process, said",
    [
        ({"how": "finished", "detail": ""}, None, "finished"),
        ({"how": "interrupted", "detail": "saved at step 5 of 10"}, None, "interrupted: saved at"),
        ({"how": "failed", "detail": "OSError: disk full"}, None, "failed: OSError: disk full"),
        (None, "killed", "killed: its process is gone"),
        (None, "alive", "in progress, process"),
        (None, None, "not running, and not finished"),
    ],
)
def test_watch_tells_finished_from_failed_from_killed(watched, capsys, note, process, said):
    (watched / "metrics.jsonl").unlink()
    if note is not None:
        (watched / "ended.json").write_text(json.dumps(note))
    lock = _locked(watched, process) if process else None
    assert ferjax("watch", watched) == 0
    how, then = capsys.readouterr().out.splitlines()[-2:]
    assert how.startswith(said) and then.startswith("next")
    assert ("--resume" in then) == (process != "alive" and how != "finished")
    if lock is not None:
        lock.release()


def test_the_plot_of_a_run_shows_its_log(watched, tmp_path, capsys):
    def plotted(name):
        assert ferjax("watch", watched, "--plot", tmp_path / name) == 0
        assert f"picture: {tmp_path / name}" in "".join(capsys.readouterr().out.splitlines())
        with Image.open(tmp_path / name) as picture:
            return np.asarray(picture.convert("L"))

    picture = plotted("one.png")
    assert picture.shape[1] > 100 and (picture < 128).any()
    np.testing.assert_array_equal(plotted("same.png"), picture)
    log = watched / "metrics.jsonl"
    for was, now in (('"loss": [2.0, 1.5]', '"loss": [1.9, 1.5]'), ("0.4}", "0.1}")):
        text = log.read_text()
        assert was in text
        log.write_text(text.replace(was, now))
        other = plotted("other.png")
        assert other.shape == picture.shape and (other != picture).any()
        log.write_text(text)
    log.write_text("")
    assert ferjax("watch", watched, "--plot", tmp_path / "none.png") == 2
    assert "holds no line yet: nothing to plot" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    "text, said",
    [
        ("import nope\n", "config.py: ModuleNotFoundError: No module named 'nope'"),
        ("x = (\n", "config.py, line 1: SyntaxError"),
        (
            "from ferjax.config import Config\nconfig = Config(train=3)\n",
            "config.py: train must be a TrainConfig, got 3",
        ),
    ],
)
def test_a_configuration_that_does_not_run_is_refused_by_name(tmp_path, capsys, text, said):
    (tmp_path / "config.py").write_text(text)
    assert ferjax("train", tmp_path / "config.py", "--out", tmp_path / "x", "--dry-run") == 2
    assert said.replace(" ", "") in "".join(
        capsys.readouterr().err.split()
    )  # long paths are wrapped


def test_square_brackets_are_no_markup(tmp_path, capsys):
    assert ferjax("route", tmp_path / "[red]y") == 2
    assert "[red]y" in "".join(capsys.readouterr().err.split())
    assert (
        ferjax("evaluate", "--predictions", tmp_path / "[red]a.npz", "--out", tmp_path / "o") == 2
    )
    assert "[red]a.npz" in "".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_thresholds_that_are_no_numbers_are_refused(run, pictures, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    thresholds = json.loads((copy / "thresholds.json").read_text())
    thresholds["routers"]["uar"]["reject"]["above"] = float("nan")
    (copy / "thresholds.json").write_text(json.dumps(thresholds))
    assert ferjax("route", copy, pictures / "gray.png") == 2
    assert "thresholds.json" in "".join(capsys.readouterr().err.split())
    (copy / "predictions" / "test.npz").write_text("junk")
    assert ferjax("evaluate", copy) == 2
    assert "delete it and evaluate again" in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_counts_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"data": {"synthetic_faces": 50}}')
    assert ferjax("train", tmp_path / "config.json", "--out", tmp_path / "x", "--dry-run") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == [
        "data",
        "weights",
        "parameters",
        "per face and member",
        "layout",
        "memory per device",
        "fits",
        "next",
    ]
    assert said[0].startswith("data: 49 train / 10 valid / 10 test faces, drawn here, kept by")
    assert said[-1] == f"next: ferjax train {tmp_path / 'config.json'} --out {tmp_path / 'x'}"
    assert not (tmp_path / "x").exists()


def test_a_dry_run_checks_the_batch_against_the_faces(tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        '{"data": {"synthetic_faces": 50}, "train": {"batch_size": 51}}'
    )
    assert ferjax("train", tmp_path / "config.json", "--out", tmp_path / "x", "--dry-run") == 2
    assert "train.batch_size 51 is more than the 49 training faces" in " ".join(
        capsys.readouterr().err.split()
    )


def test_help_teaches(capsys):
    assert ferjax("--help") == 0
    assert "quickstart" in capsys.readouterr().out
