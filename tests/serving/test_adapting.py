"""`ferjax adapt`: a folder of labelled pictures to a folder that routes, or the reason why not."""

import json

import numpy as np
import pytest
from PIL import Image

from ferjax.events import Message
from ferjax.faces.spec import DataSpec
from ferjax.predictions import Predictions
from ferjax.serving.adapting import read_pictures
from ferjax.serving.router import Router

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def labelled(run, tiny_faces, tmp_path_factory):
    """Drawn faces in folders named after what the barely trained ensemble takes them for, so that
    something can be promised of it."""
    folder = tmp_path_factory.mktemp("labelled") / "photos"
    images = np.concatenate([tiny_faces[name].images for name in ("valid", "test")])
    said = [Predictions.load(run / "predictions" / f"{n}.npz") for n in ("valid", "test")]
    chosen = np.concatenate([np.exp(p.log_probs).mean(0).argmax(-1) for p in said])
    for i, (image, number) in enumerate(zip(images, chosen, strict=True)):
        name = tiny_faces.spec.classes[int(number)]
        inside = folder / {"happiness": "happy"}.get(name, name)
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(inside / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(run, labelled, ferjax, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted") / "office"
    words = ("adapt", run, "--labelled", f"office={labelled}", "--out", out)
    assert ferjax(*words, "--accept-error", 0.4, "--router", "uar") == 0
    return out


def test_an_adapted_folder_routes_like_a_run(adapted, run, tiny_faces, ferjax, tmp_path, capfd):
    router = Router(adapted, batch_size=16)
    assert router.name == "uar" and router.adjustment.name == "office"
    assert router.adjustment.changes
    decisions = router(tiny_faces["test"].images[:16])
    plain = Router(run, "uar", batch_size=16)(tiny_faces["test"].images[:16])
    assert [d.probs for d in decisions] != [d.probs for d in plain]
    assert {d.action for d in decisions} & {"accept", "defer"}
    stored = json.loads((adapted / "thresholds.json").read_text())
    certificate = stored["routers"]["uar"]["certificate"]
    assert certificate["accept_error"] == 0.4 and certificate["accepted"] > 0
    assert sum(stored["adapted"]["parts"].values()) == stored["adapted"]["items"] >= 50
    assert stored["routers"]["uar"]["reject"]["above"] == pytest.approx(
        float(router.rule.reject_above)
    )
    file = tmp_path / "file"
    assert ferjax("export", adapted, "--out", file, "--platforms", "cpu") == 0
    opened = Router(file, batch_size=16)(tiny_faces["test"].images[:16])
    assert [d.action for d in opened] == [d.action for d in decisions]
    with pytest.raises(ValueError, match="was adapted to a population, with its prior"):
        Router(adapted, prior="uniform")


def test_nothing_is_written_where_nothing_can_be_promised(run, labelled, ferjax, tmp_path, capsys):
    out = tmp_path / "office"
    words = ("adapt", run, "--labelled", f"office={labelled}", "--out", out, "--router", "uar")
    assert ferjax(*words, "--accept-error", 0.01) == 1
    said = capsys.readouterr().out
    assert "no certificate: an error of at most 1 % among accepted items cannot be" in said
    assert "nothing was written" in said and not list(out.iterdir())


def test_wrong_requests_are_refused_in_a_sentence(run, labelled, ferjax, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    few = tmp_path / "few"
    for name in ("happy", "neutral"):
        (few / name).mkdir(parents=True)
    for i in range(4):
        image = np.random.default_rng(i).integers(0, 255, (48, 48), np.uint8)
        Image.fromarray(image).save(few / "happy" / f"{i}.png")
        Image.fromarray(image + 1).save(few / "neutral" / f"{i}.png")
    for words, message in (
        ((f"office={labelled}", "--out", tmp_path / "taken"), "holds x; choose another folder"),
        ((f"office={few}", "--out", tmp_path / "o"), "8 labelled pictures; at least 50 are needed"),
        ((str(labelled), "--out", tmp_path / "o"), "expected NAME=FOLDER"),
        ((f"a={labelled}", "--out", tmp_path / "o", "--router", "x"), "no router 'x'; there are"),
        ((f"a={labelled}", "--out", tmp_path / "o", "--confidence", "1"), "must lie between 0"),
    ):
        assert ferjax("adapt", run, "--labelled", *words) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_a_table_is_read_and_a_person_counts_once(tmp_path):
    lines = ["path,label,subject"]
    for i in range(6):
        image = np.random.default_rng(i // 2 if i > 3 else i).integers(0, 255, (48, 48), np.uint8)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{('yes', 'no')[i % 2]},{i // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    heard = []
    found = read_pictures(
        tmp_path,
        DataSpec(("glad", "no"), 48),
        labels=tmp_path / "labels.csv",
        names={"yes": "glad"},
        on_event=heard.append,
    )
    # The third person's pictures are identical to one of the second person's.
    assert found.votes.tolist() == [[1, 0], [1, 0]]
    assert any("4 of 6 pictures left out" in e.text for e in heard if isinstance(e, Message))
