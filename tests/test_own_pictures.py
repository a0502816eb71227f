"""Anybody's pictures: a folder in colour, with classes of its own, from data to decisions."""

import numpy as np
import pytest
from PIL import Image

from ferjax import Router
from ferjax.cli import main
from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.ensemble.folder import RunFolder
from ferjax.faces import synthetic
from ferjax.predictions import Predictions

SIDE = 96
TINTS = {"calm": (255, 200, 160), "tense": (160, 200, 255), "glad": (255, 255, 140)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn faces at 96 pixels, in a colour that goes with their class."""
    root = tmp_path_factory.mktemp("photos")
    faces = synthetic.make(150, seed=5).images
    for number, face in enumerate(faces):
        name, tint = list(TINTS.items())[number % 3]
        (root / name).mkdir(exist_ok=True)
        colour = (face[..., None] / 255 * np.array(tint)).astype(np.uint8)
        Image.fromarray(colour).resize((SIDE, SIDE)).save(root / name / f"{number}.png")
    return root


def run(*words):
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    assert exit.value.code == 0


@pytest.mark.slow
def test_a_folder_of_pictures_goes_the_whole_way(folder, tmp_path, capsys):
    data = tmp_path / "data"
    run("data", "folder", folder, "--out", data, "--side", SIDE, "--valid", 0.2, "--test", 0.2)
    said = capsys.readouterr().out
    assert "classes: calm, glad, tense" in said
    assert f"next: ferjax train CONFIG --data.name folder --data.path {data}" in said
    config = Config(
        data=DataConfig(name="folder", path=str(data)),
        model=ModelConfig(image_size=32, patch_size=16, dim=16, depth=1, heads=2),
        train=TrainConfig(seeds=(1, 2), epochs=6, batch_size=18),
        evaluate=EvaluateConfig(
            corruptions=("gnoise",), severities=(5,), tolerances=(), resamples=50, batch_size=30
        ),
    )
    (tmp_path / "config.json").write_text(config.to_json())
    run("train", tmp_path / "config.json", "--out", tmp_path / "run")
    spec = RunFolder(tmp_path / "run").spec()
    assert (spec.classes, spec.side, spec.colour) == (("calm", "glad", "tense"), SIDE, True)
    run("evaluate", tmp_path / "run")
    p = Predictions.load(tmp_path / "run" / "predictions" / "test.npz")
    assert p.classes == spec.classes
    run("export", tmp_path / "run", "--out", tmp_path / "run.ferjax")
    pictures = [np.asarray(Image.open(folder / name / f"{i}.png")) for i, name in enumerate(TINTS)]
    live = Router(tmp_path / "run", batch_size=4)
    exported = Router(tmp_path / "run.ferjax", batch_size=4)
    assert live.colour and exported.colour and live.side == SIDE
    for decision, other, name in zip(live(pictures), exported(pictures), TINTS):
        assert decision.label == other.label == name  # colour alone tells them apart
