"""A run and the file made of it: the same decisions, without the training code, without
recompiling, from any thread."""

import io
import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from PIL import Image

from ferjax import routing, uncertainty
from ferjax.cli import main
from ferjax.commands.route import SOME_FAILED
from ferjax.faces.votes import CLASSES
from ferjax.predictions import Predictions
from ferjax.serving import export, program
from ferjax.serving.router import Router

pytestmark = pytest.mark.slow


def ferjax(*words):
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    return exit.value.code or 0


@pytest.fixture(scope="module")
def thresholds(run):
    """The run's, with a second router over other scores."""
    chosen = json.loads((run / "thresholds.json").read_text())
    mean = uncertainty.mean_log_probs(Predictions.load(run / "predictions" / "valid.npz").log_probs)
    other = {
        "defer": {"score": "total", "above": 1.9},
        "reject": {"score": "max_prob", "above": float(np.median(1 - np.exp(mean).max(-1)))},
    }
    return {**chosen, "routers": {**chosen.get("routers", {}), "confidence": other}}


@pytest.fixture(scope="module")
def evaluated(run, thresholds, tmp_path_factory):
    """The tiny run with those thresholds: a folder of links, so that the shared run stays as it
    is."""
    folder = tmp_path_factory.mktemp("run") / "evaluated"
    folder.mkdir()
    for path in run.iterdir():
        if path.name != "thresholds.json":
            (folder / path.name).symlink_to(path)
    (folder / "thresholds.json").write_text(json.dumps(thresholds))
    return folder


@pytest.fixture(scope="module")
def exported(evaluated, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "run.ferjax"
    assert ferjax("export", evaluated, "--out", file) == 0
    return file


@pytest.fixture(scope="module")
def live(evaluated):
    return Router(evaluated, batch_size=16)


@pytest.fixture(scope="module")
def opened(exported):
    return Router(exported, batch_size=16)


def test_the_file_decides_as_the_run_does(live, opened, tiny_faces):
    faces = tiny_faces["test"].images
    for ours, theirs in zip(live(faces), opened(faces), strict=True):
        np.testing.assert_allclose(
            list(ours.probs.values()), list(theirs.probs.values()), atol=2e-5
        )
        assert theirs.aleatoric == pytest.approx(ours.aleatoric, abs=1e-4)
        assert theirs.epistemic == pytest.approx(ours.epistemic, abs=1e-4)
        near = (
            min(
                abs(ours.aleatoric - live.rule.defer_above),
                abs(ours.epistemic - live.rule.reject_above),
            )
            < 1e-4
        )
        assert near or ours.action == theirs.action


def test_a_decision_is_that_of_the_hall_functions(run, live, thresholds, tiny_faces):
    """Of what the evaluation predicted, batch by batch of another size: the same probabilities,
    uncertainties and action."""
    log_probs = Predictions.load(run / "predictions" / "test.npz").log_probs
    parts = uncertainty.decompose(log_probs)
    mean = np.exp(uncertainty.mean_log_probs(log_probs))
    limits = routing.Thresholds(thresholds["aleatoric"], thresholds["epistemic"])
    actions = np.asarray(routing.decide(parts.aleatoric, parts.epistemic, limits))
    for i, decision in enumerate(live(tiny_faces["test"].images)):
        near = (
            min(
                abs(parts.aleatoric[i] - limits.aleatoric),
                abs(parts.epistemic[i] - limits.epistemic),
            )
            < 1e-4
        )
        assert near or decision.action == routing.ACTIONS[actions[i]]
        assert decision.label == CLASSES[mean[i].argmax()]
        np.testing.assert_allclose(list(decision.probs.values()), mean[i], atol=2e-5)
        assert decision.epistemic == pytest.approx(float(parts.epistemic[i]), abs=1e-4)
        assert decision.why.startswith(decision.action)


def test_another_router_reads_other_scores_and_says_so(exported, thresholds, tiny_faces):
    router = Router(exported, "confidence", batch_size=16)
    decisions = router(tiny_faces["test"].images)
    above = thresholds["routers"]["confidence"]["reject"]["above"]
    assert {d.action for d in decisions} > {"reject"}
    for d in decisions:
        assert set(d.scores) == {"total", "max_prob"}
        assert (d.action == "reject") == (d.scores["max_prob"] > above)
        assert d.scores["max_prob"] == pytest.approx(1 - max(d.probs.values()), abs=1e-4)
        if d.action == "reject":
            assert d.why.startswith("rejected: max prob ")
    with pytest.raises(ValueError, match="no router 'coin'; there are uar, .*confidence"):
        Router(exported, "coin")


def test_the_file_opens_without_the_training_code(exported, live, tiny_faces, tmp_path):
    """In a process of its own: no network, no optimiser, no checkpoints, and the same answer."""
    np.save(tmp_path / "faces.npy", tiny_faces["test"].images[:5])
    code = f"""
import json, sys
import numpy as np
from ferjax.serving.router import Router
router = Router({str(exported)!r}, batch_size=16)
answers = [d.fields() for d in router(np.load({str(tmp_path / "faces.npy")!r}))]
heavy = ("flax", "optax", "orbax", "chex", "tensorflow_datasets", "matplotlib", "tyro", "ferjax.ensemble", "ferjax.models")
print(json.dumps([[m for m in heavy if m in sys.modules], answers]))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    loaded, answers = json.loads(printed)
    assert loaded == []
    assert [a["label"] for a in answers] == [d.label for d in live(tiny_faces["test"].images[:5])]


@pytest.mark.parametrize("which", ["live", "opened"])
def test_nothing_compiles_after_the_start(which, request, rng):
    """Whatever number or size of faces comes; every compilation of the process is counted."""
    router = request.getfixturevalue(which)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "compile" in name else None
    )
    for count in (1, 3, 16, 17, 40):
        assert len(router(rng.integers(0, 255, (count, 48, 48), np.uint8))) == count
    router([rng.integers(0, 255, (90, 60), np.uint8), rng.integers(0, 255, (50, 50, 3), np.uint8)])
    assert compiled == []
    jax.jit(lambda x: x + which.count("e"))(np.ones(len(which)))
    assert compiled, "the listener must hear a compilation"


def test_threads_share_a_router(opened, tiny_faces):
    """Eight threads at once, each with faces of its own, get what they get alone."""
    faces = tiny_faces["test"].images
    parts = [faces[i : i + 5 + i] for i in range(16)]
    alone = [opened(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, parts)) == alone


def test_company_changes_nothing(opened, tiny_faces):
    faces = tiny_faces["test"].images[:37]
    together = opened(faces)
    for i in (0, 15, 16, 36):
        assert opened(faces[i : i + 1])[0].action == together[i].action
        assert opened(faces[i : i + 1])[0].epistemic == pytest.approx(
            together[i].epistemic, abs=1e-5
        )
    assert opened(faces[:0]) == [] == opened([])


def test_any_picture_is_taken_as_files_are(opened, rng):
    """Colour and size do not matter: a program and a folder give the same decision."""
    from ferjax.faces import image_files

    colour = rng.integers(0, 255, (100, 140, 3), np.uint8)
    assert opened([colour]) == opened(image_files.from_array(colour)[None])
    with pytest.raises(ValueError, match=r"number 1 is float32 \[48, 48\]"):
        opened([np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.float32)])
    with pytest.raises(ValueError, match="number 0 is uint8"):
        opened(np.zeros((48, 48), np.uint8))


def test_the_file_says_where_it_comes_from(exported, evaluated, tiny, thresholds):
    with zipfile.ZipFile(exported) as archive:
        about = json.loads(archive.read("ferjax.json"))
        assert archive.testzip() is None
    assert about["classes"] == list(CLASSES)
    assert about["thresholds"] == thresholds
    made = about["provenance"]
    assert made["seeds"] == [1, 2, 3] and made["platforms"] == ["cpu", "cuda"]
    assert made["versions"]["jax"] == jax.__version__
    assert made["config"] == json.loads(tiny.to_json())
    figures = json.loads((evaluated / "evaluation.json").read_text())["classification"]
    assert made["test"]["accuracy"] == figures["accuracy"] and len(made["valid_accuracy"]) == 3
    assert about["parity"]["largest_difference"] <= about["parity"]["tolerance"] == 1e-4
    assert about["parity"]["faces"] == 16


def test_weights_lie_beside_the_program(exported):
    """As arguments: constants would be parsed and folded at every start, and end at 2 GB."""
    with zipfile.ZipFile(exported) as archive:
        names = [n for n in archive.namelist() if n.startswith("weights/")]
        largest = max(archive.getinfo(n).file_size for n in names)
        trained = sum(np.load(io.BytesIO(archive.read(n))).size for n in names)
    assert trained >= 3 * 16 * (3 * 16 * 16)  # at least the patch embeddings of three members
    assert largest > 10_000


def test_an_export_that_differs_is_not_written(evaluated, exported, tmp_path, monkeypatch):
    """The check must be able to fail: a program whose weights were touched on the way does not
    reach the disk."""
    with zipfile.ZipFile(exported) as archive:
        lowered = archive.read("program.stablehlo")
        weights = [
            np.load(io.BytesIO(archive.read(n)))
            for n in sorted(archive.namelist())
            if n.startswith("weights/")
        ]
    monkeypatch.setattr(
        export,
        "_lower",
        lambda *_: ([w + np.float32(0.01) * (w.ndim > 1) for w in weights], lowered),
    )
    with pytest.raises(
        ValueError, match=r"the exported program differs from the run by .* nothing was written"
    ):
        export.export(evaluated, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_exported_file_is_refused(exported, tmp_path):
    data = exported.read_bytes()
    for content in (b"", b"PK", data[: len(data) // 2]):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"file: not a file that `ferjax export` wrote, or a damaged one"
        ):
            Router(tmp_path / "file")
    with pytest.raises(
        FileNotFoundError, match="absent: neither a run folder nor an exported file"
    ):
        Router(tmp_path / "absent")


def test_a_file_says_for_which_platforms_it_is(exported, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with pytest.raises(
        ValueError, match=r"was exported for cpu, cuda and this is tpu; .* --platforms tpu"
    ):
        export.load(exported)


def test_other_thresholds_need_no_other_file(exported, thresholds, tiny_faces):
    lenient = {"aleatoric": None, "epistemic": None}
    assert {
        d.action
        for d in Router(exported, thresholds=lenient, batch_size=16)(tiny_faces["test"].images[:32])
    } == {"accept"}
    strange = {
        **thresholds,
        "routers": {
            "uar": {
                "defer": {"score": "total", "above": 1},
                "reject": {"score": "total", "above": 2},
            }
        },
    }
    with pytest.raises(
        ValueError,
        match=r"router 'uar' over total and total is not in this file; it has uar \(aleatoric, epistemic\)",
    ):
        Router(exported, thresholds=strange)


def test_a_router_over_an_unknown_score_is_refused_and_the_others_go_on(thresholds, rng):
    odd = {
        **thresholds,
        "routers": {
            "odd": {
                "defer": {"score": "aleatoric", "above": 1},
                "reject": {"score": "aura", "above": 2},
            }
        },
    }
    rules = program.rules_of(odd)
    judged = program.judge(
        jax.nn.log_softmax(rng.normal(size=(3, 5, 8)).astype(np.float32)),
        {},
        program.limits_of(rules),
        rules,
    )
    assert set(judged.action) == {"uar"}
    program.require(judged, "uar", rules["uar"])
    with pytest.raises(ValueError, match=r"router 'odd' reads aura; this ensemble has .*epistemic"):
        program.require(judged, "odd", rules["odd"])
    flat = np.full((3, 5, 8), -np.log(8), np.float32)
    judged = program.judge(flat, {"aura": np.arange(5.0)}, program.limits_of(rules), rules)
    assert judged.action["odd"].tolist() == [1, 1, 1, 2, 2]


@pytest.fixture
def pictures(tmp_path, rng):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(7):
        Image.fromarray(rng.integers(0, 255, (50, 50), np.uint8)).save(folder / f"{i}.png")
    (folder / "broken.png").write_text("no")
    return folder


def test_route_goes_on_where_it_stopped(exported, pictures, tmp_path, capsys):
    whole = tmp_path / "whole.csv"
    part = tmp_path / "part.csv"
    assert ferjax("route", exported, pictures, "--format", "csv", "--out", whole) == SOME_FAILED
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    capsys.readouterr()
    assert (
        ferjax(
            "route",
            exported,
            pictures,
            "--format",
            "csv",
            "--out",
            part,
            "--wall",
            tmp_path / "wall.png",
        )
        == SOME_FAILED
    )
    assert part.read_bytes() == whole.read_bytes()
    said = " ".join(capsys.readouterr().err.split())
    assert "continued" in said and "7 routed, 1 could not be read" in said
    with Image.open(tmp_path / "wall.png") as wall:
        assert wall.width > 300
    assert (
        ferjax(
            "route", exported, pictures / "0.png", "--format", "csv", "--out", part, "--overwrite"
        )
        == 0
    )
    assert len(part.read_bytes().splitlines()) == 2


def test_route_reads_a_stream_and_writes_lines(exported, pictures, monkeypatch, capfdbinary):
    stream = io.TextIOWrapper(
        io.BytesIO(json.dumps({"path": str(pictures / "1.png"), "id": 3}).encode() + b"\n")
    )
    monkeypatch.setattr(sys, "stdin", stream)
    assert ferjax("route", exported, "-", "--router", "confidence") == 0
    line = json.loads(capfdbinary.readouterr().out)
    assert line["id"] == 3 and line["action"] in routing.ACTIONS and "max_prob" in line


@pytest.mark.parametrize(
    "words, said",
    [
        (("route", "{file}"), "nothing to route: give image files"),
        (("route", "{file}", "{pictures}", "--router", "coin"), "no router 'coin'"),
        (
            ("route", "{file}", "{pictures}", "--out", "{pictures}/absent/x.jsonl"),
            "its folder does not exist",
        ),
        (
            ("route", "{file}", "{pictures}", "--out", "{file}"),
            "is no line that this command writes",
        ),
        (("route", "{file}", "{pictures}/*.tif"), "no file matches this pattern"),
        (("export", "{run}", "--out", "{pictures}"), "is a folder"),
        (("export", "{run}", "--out", "{pictures}/x", "--platforms", "abacus"), "got abacus"),
        (("export", "{pictures}", "--out", "{pictures}/x"), "holds no thresholds.json"),
    ],
)
def test_wrong_requests_are_refused_in_words(exported, evaluated, pictures, capsys, words, said):
    places = {"file": exported, "run": evaluated, "pictures": pictures}
    before = exported.read_bytes()
    assert ferjax(*(word.format(**places) for word in words)) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert exported.read_bytes() == before and not (pictures / "x").exists()


def test_thresholds_are_read_with_care(tmp_path):
    for text, said in (
        ("{", "thresholds.json: "),
        ('{"aleatoric": 1}', "missing epistemic"),
        (
            '{"aleatoric": 1, "epistemic": 1, "routers": {"a": {"defer": 1}}}',
            "router 'a' must have defer and reject",
        ),
    ):
        (tmp_path / "thresholds.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            program.load_thresholds(tmp_path)
