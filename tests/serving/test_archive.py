"""The exported file as a file: what is none is refused, and files of version 0.1.0 still open."""

import io
import json
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.routing import RouterRule
from ferjax.serving import archive
from ferjax.serving.router import Router

CLASSES = ("left", "right")
RULES = {"uar": RouterRule(0.5, 0.2), "density": RouterRule(0.5, 10.0, reject="ood_density")}


def stand_in(names):
    """A program of two classes with an exported file's arguments and results; the router on
    densities and its score are called as ``names`` say."""

    def program(weights, images, thresholds):
        light = jnp.mean(images.astype(jnp.float32), (1, 2)) / 255
        scores = {
            "aleatoric": light,
            "epistemic": jnp.zeros_like(light),
            names["ood_density"]: 20 * light * weights[0],
        }
        reads = {
            "uar": ("aleatoric", "epistemic"),
            names["density"]: ("aleatoric", names["ood_density"]),
        }
        action = {}
        for name, (defer, reject) in reads.items():
            defer_above, reject_above = thresholds[name]
            deferred = (scores[defer] > defer_above).astype(jnp.int32)
            action[name] = jnp.where(scores[reject] > reject_above, 2, deferred)
        return action, jnp.stack([1 - light, light], -1), scores

    (batch,) = jax.export.symbolic_shape("batch")
    thresholds = {names.get(n, n): t for n, t in archive.thresholds_of(RULES).items()}
    return jax.export.export(jax.jit(program), platforms=("cpu", "cuda"))(
        [np.float32(1)], jax.ShapeDtypeStruct((batch, 8, 8), jnp.uint8), thresholds
    ).serialize()


def write(path, about, names):
    facts = {"classes": CLASSES, "side": 8, "provenance": {"run": "drawn"}, "weights": 1}
    path.write_bytes(archive.pack({**facts, **about}, bytes(stand_in(names)), [np.float32(1)]))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "file"
    about = {"format": 2, "routers": {name: rule.to_json() for name, rule in RULES.items()}}
    write(path, about, {"density": "density", "ood_density": "ood_density"})
    return path


@pytest.fixture(scope="module")
def old_file(tmp_path_factory):
    """As version 0.1.0 wrote it."""
    path = tmp_path_factory.mktemp("archive") / "old_file"
    uar, familiarity = (rule.to_json() for rule in RULES.values())
    familiarity["reject"]["score"] = "unfamiliarity"
    routers = {"uar": uar, "familiarity": familiarity}
    for router in routers.values():
        del router["false_rejection"]  # one for all of them, beside the routers
    thresholds = {"aleatoric": 0.5, "epistemic": 0.2, "false_rejection": 0.05, "routers": routers}
    names = {"density": "familiarity", "ood_density": "unfamiliarity"}
    write(path, {"format": 1, "thresholds": thresholds}, names)
    return path


@pytest.mark.parametrize("name", ["uar", "density"])
def test_a_file_of_the_first_version_decides_as_a_new_one(file, old_file, name):
    pictures = np.linspace(0, 255, 7).astype(np.uint8)[:, None, None] * np.ones((8, 8), np.uint8)
    new = Router(file, name, batch_size=8)
    old = Router(old_file, name, batch_size=8)
    assert old.classes == new.classes == CLASSES and old.rule.scores == new.rule.scores
    assert old.rule.false_rejection == 0.05
    decisions = new(pictures)
    for ours, theirs in zip(decisions, old(pictures), strict=True):
        assert theirs._replace(why="") == ours._replace(why="")
    expected = {"uar": {"accept", "defer"}, "density": {"accept", "reject"}}
    assert {decision.action for decision in decisions} == expected[name]


def test_what_is_no_exported_file_is_refused(file, tmp_path):
    data = file.read_bytes()
    for content in (b"", b"PK", data[: len(data) // 2]):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"file: not a file that `ferjax export` wrote, or a damaged one"
        ):
            Router(tmp_path / "file")


def test_a_file_of_a_later_version_says_so(file, tmp_path):
    with zipfile.ZipFile(file) as zipped:
        about = json.loads(zipped.read("ferjax.json"))
    write(tmp_path / "file", {**about, "format": 4}, {"density": "d", "ood_density": "o"})
    with pytest.raises(ValueError, match="exported in format 4, .* reads 1 to 3; .*export"):
        archive.load(tmp_path / "file")


def test_a_file_says_for_which_platforms_it_is(file, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with pytest.raises(
        ValueError, match=r"was exported for cpu, cuda and this is tpu; .* --platforms tpu"
    ):
        archive.load(file)


def test_an_open_file_is_read_as_its_name(file):
    program = archive.read(io.BytesIO(file.read_bytes()), "file")
    assert program.rules == RULES and program.provenance["run"] == "drawn"
    with pytest.raises(ValueError, match="draft: not a file that `ferjax export` wrote"):
        archive.read(io.BytesIO(b"no"), "draft")
