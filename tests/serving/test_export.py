"""A run as one file: checked before it is written, with what is needed to trust it."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import densities
from ferjax.ensemble.methods import method_of
from ferjax.ensemble.prediction import Trained, load_run
from ferjax.faces.dataset import DataSpec
from ferjax.models import vit
from ferjax.routing import ACTIONS, RouterRule
from ferjax.serving import archive, export
from ferjax.serving.live import from_trained
from ferjax.serving.program import InferenceProgram, RouterOutput
from ferjax.serving.router import Router


def contents(file):
    with zipfile.ZipFile(file) as zipped:
        assert zipped.testzip() is None
        return {name: zipped.read(name) for name in zipped.namelist()}


@pytest.mark.slow
def test_the_file_says_where_it_comes_from(exported, tiny, rules, live):
    about = json.loads(contents(exported)["ferjax.json"])
    assert about["format"] == 3
    assert about["classes"] == list(live.classes) and about["side"] == live.side == 48
    assert about["routers"] == {name: rule.to_json() for name, rule in rules.items()}
    made = about["provenance"]
    assert made["seeds"] == [1, 2, 3] and made["platforms"] == ["cpu", "cuda"]
    assert made["versions"]["jax"] == jax.__version__
    assert made["config"] == json.loads(tiny.to_json())


def test_a_file_tells_nobody_where_things_lay():
    config = Config(
        data=DataConfig(name="ferplus", path="/home/somebody/data/ferplus"),
        model=dinov2("s14", 56, pretrained="/home/somebody/weights.safetensors"),
    )
    trained = Trained._make([None] * len(Trained._fields))._replace(
        config=config, best_accuracy=np.zeros(5)
    )
    made = export.provenance(None, trained, ("cpu",))
    assert "somebody" not in json.dumps(made)
    assert made["config"]["data"]["path"] == "ferplus"
    assert made["config"]["model"]["pretrained"] == "weights.safetensors"


@pytest.mark.slow
def test_the_file_says_how_good_its_members_were(exported, evaluated):
    about = json.loads(contents(exported)["ferjax.json"])
    made = about["provenance"]
    figures = json.loads((evaluated / "evaluation.json").read_text())["quality"]
    assert made["test"]["accuracy"] == figures["accuracy"] and len(made["valid_accuracy"]) == 3
    assert about["parity"]["largest_difference"] <= about["parity"]["tolerance"] == 1e-4
    assert about["parity"]["pictures"] == 16


@pytest.mark.slow
def test_weights_lie_beside_the_program(exported):
    """As arguments: constants would be parsed and folded at every start, and end at 2 GB."""
    parts = contents(exported)
    weights = {name: data for name, data in parts.items() if name.startswith("weights/")}
    trained = sum(np.load(io.BytesIO(data)).size for data in weights.values())
    assert trained >= 3 * 16 * (3 * 16 * 16)  # at least the patch embeddings of three members
    assert max(map(len, weights.values())) > 10_000


@pytest.mark.slow
def test_an_export_that_differs_is_not_written(evaluated, exported, tmp_path, monkeypatch):
    """The check must be able to fail: a program whose weights were touched on the way does not
    reach the disk."""
    parts = contents(exported)
    names = sorted(name for name in parts if name.startswith("weights/"))
    weights = [np.load(io.BytesIO(parts[name])) for name in names]
    touched = [w + np.float32(0.01) if w.ndim > 1 else w for w in weights]
    monkeypatch.setattr(export, "_lower", lambda *_: (touched, parts["program.stablehlo"]))
    with pytest.raises(
        ValueError, match=r"the exported program differs from the run by .* nothing was written"
    ):
        export.export(evaluated, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def fake(rules, score=0.3, action=0):
    """A program whose every picture has one score and one action."""

    def forward(images):
        values = np.full(len(images), score, np.float32)
        actions = {name: np.full(len(images), action) for name in rules}
        probs = np.full((len(images), 2), 0.5, np.float32)
        return RouterOutput(actions, probs, {"aleatoric": values, "epistemic": values})

    return InferenceProgram(forward, rules, ("a", "b"), 48)


@pytest.mark.parametrize(
    "rule, near",
    [
        (RouterRule(1.0, 1.0), False),
        (RouterRule(0.3, 1.0), True),
        (RouterRule(1.0, 0.3), True),
        (RouterRule(np.inf, 1.0), False),
        (RouterRule(1.0, np.inf), False),
    ],
)
def test_another_action_counts_unless_it_lies_on_a_threshold(rule, near):
    ours = fake({"uar": rule})
    assert export.parity(ours, ours, 1e-4)["pictures"] == 16
    if near:
        export.parity(ours, fake({"uar": rule}, action=1), 1e-4)
        return
    with pytest.raises(ValueError, match="routes 16 of 16 pictures otherwise .* under 'uar'"):
        export.parity(ours, fake({"uar": rule}, action=1), 1e-4)


@pytest.mark.parametrize("score", [0.301, np.nan])
def test_another_score_is_told_by_its_name(score):
    rules = {"uar": RouterRule(1.0, 1.0)}
    with pytest.raises(ValueError, match="differs from the run by .* in aleatoric, more than"):
        export.parity(fake(rules), fake(rules, score=score), 1e-4)


@pytest.mark.slow
class TestThreeClassesOf32Pixels:
    """Nothing is left of the eight expressions and their 48 pixels; the members are not trained."""

    classes = ("cat", "dog", "red fox")
    rules = {
        "uar": RouterRule(0.9, 0.1),
        "total": RouterRule(0.9, 0.4, defer="total", reject="max_prob"),
    }

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls):
        config = Config(
            model=ModelConfig(image_size=32, patch_size=16, dim=16, depth=1, heads=2),
            train=TrainConfig(seeds=(1, 2)),
        )
        init = vit.vit(config.model, len(cls.classes)).init
        params = jax.jit(jax.vmap(init))(jax.random.split(jax.random.key(0), 2))
        params["head"]["kernel"] *= 100  # untrained members are indifferent
        return Trained(
            config=config,
            spec=DataSpec(cls.classes, 32),
            params=params,
            trunk=None,
            best_accuracy=np.array([0.5, 0.5]),
        )

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, trained, tmp_path_factory):
        file = tmp_path_factory.mktemp("exported") / "animals.ferjax"
        about = export.export(trained, file, thresholds=cls.rules, platforms=("cpu",))
        assert about["classes"] == list(cls.classes) and about["side"] == 32
        return file

    @pytest.mark.parametrize("router", ["uar", "total"])
    def test_the_file_routes_with_its_own_names(self, trained, file, router, rng):
        live = Router(trained, router, thresholds=self.rules, batch_size=16)
        opened = Router(file, router, batch_size=16)
        assert opened.classes == live.classes == self.classes and opened.side == 32
        pictures = rng.integers(0, 255, (24, 32, 32), np.uint8)
        decisions = opened(pictures)
        for ours, theirs in zip(live(pictures), decisions, strict=True):
            assert tuple(theirs.probs) == self.classes and theirs.action in ACTIONS
            assert theirs.label == max(theirs.probs, key=theirs.probs.get)
            np.testing.assert_allclose(
                list(ours.probs.values()), list(theirs.probs.values()), atol=2e-5
            )
            assert ours.label == theirs.label or max(theirs.probs.values()) < 0.51
        assert any(name in decision.why for decision in decisions for name in self.classes)
        assert opened([rng.integers(0, 255, (90, 60, 3), np.uint8)])[0].label in self.classes
        with pytest.raises(ValueError, match="number 0 is float32"):
            opened(np.zeros((1, 32, 32), np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, network, score",
    [
        ("scn", {}, "scn"),
        ("evidential", {}, "energy"),
        ("dirichlet", {}, "energy"),
        ("disagreement", {}, "predicted_disagreement"),
        ("mc-dropout", {"dropout": 0.3}, "energy"),
        ("mc-dropout", {"dropout": 0.3, "dropout_at": "blocks"}, "energy"),
    ],
)
def test_methods_with_another_reading_are_exported_with_it(method, network, score, tmp_path):
    """`export` itself holds the file to the run; passes have their masks in the program."""
    config = Config(
        model=ModelConfig(
            image_size=32, patch_size=16, dim=16, depth=1, heads=2, head="cls+mean", **network
        ),
        train=TrainConfig(seeds=(1, 2), method=method),
        evaluate=EvaluateConfig(passes=3),
    )
    model = vit.members_model(config.model, 3, method_of(config).extra)
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(0), 2))
    params["head"]["kernel"] *= 100
    classes = ("cat", "dog", "red fox")
    trained = Trained(config, DataSpec(classes, 32), params, None, np.array([0.5, 0.5]))
    rules = {"uar": RouterRule(0.9, 0.1, reject=score)}
    file = tmp_path / "animals.ferjax"
    export.export(trained, file, thresholds=rules, platforms=("cpu",))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32), np.uint8)
    ours = from_trained(trained, rules).forward(images)
    theirs = archive.load(file).forward(images)
    assert score in theirs.scores
    np.testing.assert_allclose(ours.scores[score], theirs.scores[score], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_small_file_keeps_rounded_members_exactly_and_densities_in_16_bits(
    ferjax, run, evaluated, exported, pictures, tmp_path
):
    assert ferjax("members", "round", run, "--out", tmp_path / "run") == 0
    thresholds = json.loads((evaluated / "thresholds.json").read_text())
    (tmp_path / "run" / "thresholds.json").write_text(json.dumps(thresholds))
    fitted = densities.load(run)
    densities.save(fitted, tmp_path / "run", load_run(tmp_path / "run").digest)
    source, small, large = (tmp_path / name for name in ("run", "small.ferjax", "large.ferjax"))
    assert ferjax("export", source, "--out", small, "--small", "--platforms", "cpu") == 0
    assert ferjax("export", source, "--out", large, "--platforms", "cpu") == 0
    parts = contents(small)
    types = {name: np.load(io.BytesIO(parts[name])).dtype for name in parts if ".npy" in name}
    steps = {name.removeprefix("steps/") for name in parts if name.startswith("steps/")}
    assert steps and all(types[f"weights/{name}"] == np.int8 for name in steps)
    assert np.dtype("float16") in {of for name, of in types.items() if name.startswith("weights/")}
    faces = np.stack([np.asarray(Image.open(pictures / f"{i}.png")) for i in range(7)])
    ours, theirs = (Router(file, "uar", batch_size=16)(faces) for file in (small, large))
    for one, other in zip(ours, theirs, strict=True):
        assert one.probs == other.probs and one.action == other.action
    assert ferjax("export", "--verify", small) == 0
