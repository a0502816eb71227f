"""A router without a network, to test what is around it in milliseconds; and one real run, as a
folder with a second router and as the file exported from it."""

import json

import numpy as np
import pytest
from PIL import Image

from ferjax import uncertainty
from ferjax.cli import main
from ferjax.predictions import Predictions
from ferjax.routing import RouterRule
from ferjax.serving.explanation import explain
from ferjax.serving.router import Decision, Router


class FakeRouter:
    """Decides by brightness: dark faces are accepted, bright ones rejected; counts its calls."""

    batch_size = 4
    classes = ("neutral", "happy", "sad")
    extra_scores = ()
    side = 48
    colour = False
    rule = RouterRule(1.0, 0.5, false_rejection=0.05)

    def __init__(self):
        self.batches = []

    def __call__(self, faces):
        assert faces.dtype == np.uint8 and faces.shape[1:] == (self.side, self.side)
        self.batches.append(len(faces))
        return [self.decide(float(face.mean()) / 255) for face in faces]

    def decide(self, brightness):
        probs = dict(zip(self.classes, (1 - brightness, brightness / 2, brightness / 2)))
        action = "reject" if brightness > 0.5 else "accept"
        why = explain(action, probs, {"aleatoric": 0.0, "epistemic": brightness}, self.rule)
        return Decision(action, self.classes[0], probs, 0.0, brightness, why)


@pytest.fixture
def router():
    return FakeRouter()


@pytest.fixture(scope="session")
def ferjax():
    """Runs a command line and returns its exit status."""

    def command(*words):
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in words])
        return exit.value.code or 0

    return command


@pytest.fixture(scope="session")
def rules(run):
    """The run's, with a second router over other scores."""
    mean = uncertainty.mean_log_probs(Predictions.load(run / "predictions" / "valid.npz").log_probs)
    above = float(np.median(1 - np.exp(mean).max(-1)))
    chosen = json.loads((run / "thresholds.json").read_text())
    return {
        **{name: RouterRule.from_json(router) for name, router in chosen["routers"].items()},
        "confidence": RouterRule(1.9, above, defer="total", reject="max_prob"),
    }


@pytest.fixture(scope="session")
def evaluated(run, rules, tmp_path_factory):
    """The tiny run with those rules: a folder of links, so that the shared run stays as it is."""
    folder = tmp_path_factory.mktemp("run") / "evaluated"
    folder.mkdir()
    for path in run.iterdir():
        if path.name != "thresholds.json":
            (folder / path.name).symlink_to(path)
    routers = {name: rule.to_json() for name, rule in rules.items()}
    (folder / "thresholds.json").write_text(json.dumps({"routers": routers}))
    return folder


@pytest.fixture(scope="session")
def exported(evaluated, ferjax, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "run.ferjax"
    assert ferjax("export", evaluated, "--out", file) == 0
    return file


@pytest.fixture(scope="session")
def live(evaluated):
    return Router(evaluated, "uar", batch_size=16)


@pytest.fixture(scope="session")
def opened(exported):
    return Router(exported, "uar", batch_size=16)


@pytest.fixture
def pictures(tmp_path, rng):
    """Seven pictures and a broken one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(7):
        Image.fromarray(rng.integers(0, 255, (50, 50), np.uint8)).save(folder / f"{i}.png")
    (folder / "broken.png").write_text("no")
    return folder
