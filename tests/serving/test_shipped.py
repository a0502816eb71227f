"""The model that comes with ferjax: which words name it, its size, its card, what it says."""

import json
import re
import zipfile
import zlib

import numpy as np
import pytest

import ferjax as package
from ferjax.serving import archive, verification
from ferjax.serving.shipped import CARD, MODEL, model_and_pictures


def test_without_a_run_all_words_are_pictures(pictures, tmp_path):
    for words in ([str(pictures)], [str(pictures / "0.png"), "b.png"], ["-"], ["absent"], []):
        assert model_and_pictures(words) == (MODEL, tuple(words))
    np.savez(tmp_path / "faces.npz", images=np.zeros((2, 48, 48), np.uint8))
    assert model_and_pictures([str(tmp_path / "faces.npz")])[0] == MODEL


@pytest.mark.parametrize("file", ["config.json", "thresholds.json"])
def test_a_run_decides_where_one_is_named(tmp_path, file):
    (tmp_path / file).write_text("{}")
    assert model_and_pictures([str(tmp_path), "a.png"]) == (tmp_path, ("a.png",))


def test_an_exported_file_decides_damaged_or_not(tmp_path):
    whole, broken = tmp_path / "file", tmp_path / "broken.ferjax"
    with zipfile.ZipFile(whole, "w") as zipped:
        zipped.writestr("ferjax.json", "{}")
    broken.write_bytes(b"no")
    for file in (whole, broken):
        assert model_and_pictures([str(file), "a.png"]) == (file, ("a.png",))


def test_a_folder_of_neither_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(FileNotFoundError, match="neither a run .* nor a picture is in this folder"):
        model_and_pictures([str(tmp_path), "a.png"])


def test_it_is_small_keeps_its_check_and_decides_as_at_export():
    # As a wheel keeps it.
    assert len(zlib.compress(MODEL.read_bytes())) <= 8e6
    found = verification.verify(MODEL)
    assert found["largest_difference"] <= found["tolerance"]


def test_its_card_says_what_the_file_says():
    with zipfile.ZipFile(MODEL) as zipped:
        about = json.loads(zipped.read("ferjax.json"))
    card = CARD.read_text()
    figures = about["provenance"]["test"]
    assert figures["accuracy"]["value"] >= 0.68
    assert (
        f"{figures['accuracy']['value']:.3f}" in card and f"{figures['nll']['value']:.3f}" in card
    )
    assert about["digest"] in card
    assert re.search(r"research", card) and all(name in card for name in about["classes"])


def test_faces_are_decided_on_by_name_of_nothing(ferjax, pictures, capfdbinary):
    assert ferjax("route", pictures / "0.png") == 0
    printed = capfdbinary.readouterr()
    assert b"no RUN given: the model that comes with ferjax decides" in printed.err
    line = json.loads(printed.out)
    assert line["label"] in archive.load(MODEL).classes
    # Noise is no face.
    assert line["action"] == "reject"


def test_what_is_no_face_is_rejected_from_python_too(rng):
    router = package.Router(batch_size=16)
    assert router.name == "density" and not router.colour and router.side == 48
    noise = rng.integers(0, 255, (16, 48, 48), np.uint8)
    flat = np.broadcast_to(np.arange(0, 240, 15, dtype=np.uint8)[:, None, None], (16, 48, 48))
    for pictures in (noise, flat):
        assert {decision.action for decision in router(pictures)} == {"reject"}


def test_a_prior_needs_a_run(ferjax, pictures, capsys):
    with pytest.raises(ValueError, match="--prior sqrt needs a run of your own"):
        package.Router(prior="sqrt")
    assert ferjax("route", pictures, "--prior", "estimated") == 2
    assert "--prior estimated needs a run of your own" in capsys.readouterr().err
