"""A run and the file made of it give the same decisions, without recompiling, from any thread."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from ferjax import uncertainty
from ferjax.faces import image_files
from ferjax.predictions import Predictions
from ferjax.routing import ACTIONS, decide
from ferjax.serving.router import Router

pytestmark = pytest.mark.slow


def on_a_threshold(rule, aleatoric, epistemic):
    distances = (abs(aleatoric - rule.defer_above), abs(epistemic - rule.reject_above))
    return min(distances) < 1e-4


def test_the_file_decides_as_the_run_does(live, opened, tiny_faces):
    assert opened.rules == live.rules
    assert (opened.classes, opened.side) == (live.classes, live.side)
    faces = tiny_faces["test"].images
    for ours, theirs in zip(live(faces), opened(faces), strict=True):
        np.testing.assert_allclose(
            list(ours.probs.values()), list(theirs.probs.values()), atol=2e-5
        )
        assert theirs.aleatoric == pytest.approx(ours.aleatoric, abs=1e-4)
        assert theirs.epistemic == pytest.approx(ours.epistemic, abs=1e-4)
        near = on_a_threshold(live.rule, ours.aleatoric, ours.epistemic)
        assert near or ours.action == theirs.action


def test_a_router_says_what_it_is(live, opened, evaluated, exported):
    for router, source in ((live, evaluated.name), (opened, exported.name)):
        said = repr(router)
        assert said.startswith(f"<Router uar (of {', '.join(router.rules)}) of {source}: 3 members")
        for part in (*router.classes, f"epistemic {router.rule.reject_above:.4g}", "5 % of clean"):
            assert part in said
        assert "\n" not in said


def test_a_decision_is_that_of_the_core_functions(run, live, rules, tiny_faces):
    """Of what the evaluation predicted, batch by batch of another size: the same probabilities,
    uncertainties and action."""
    log_probs = Predictions.load(run / "predictions" / "test.npz").log_probs
    parts = uncertainty.decompose(log_probs)
    mean = np.exp(uncertainty.mean_log_probs(log_probs))
    actions = np.asarray(decide(parts.aleatoric, parts.epistemic, rules["uar"]))
    for i, decision in enumerate(live(tiny_faces["test"].images)):
        near = on_a_threshold(rules["uar"], parts.aleatoric[i], parts.epistemic[i])
        assert near or decision.action == ACTIONS[actions[i]]
        assert decision.label == live.classes[mean[i].argmax()]
        np.testing.assert_allclose(list(decision.probs.values()), mean[i], atol=2e-5)
        assert decision.epistemic == pytest.approx(float(parts.epistemic[i]), abs=1e-4)
        assert decision.why.startswith(decision.action)


def test_the_density_decides_where_nobody_is_named(exported, opened):
    assert opened.name == "uar"  # because the fixture names it
    router = Router(exported, batch_size=16)
    assert router.name == "density" and router.rule.reject == "ood_density"
    plain = Router(exported, thresholds={"uar": opened.rule}, batch_size=16)
    assert plain.name == "uar"


def test_another_router_reads_other_scores_and_says_so(exported, rules, tiny_faces):
    router = Router(exported, "confidence", batch_size=16)
    decisions = router(tiny_faces["test"].images)
    assert {d.action for d in decisions} > {"reject"}
    for d in decisions:
        assert set(d.scores) == {"total", "max_prob"}
        assert (d.action == "reject") == (d.scores["max_prob"] > rules["confidence"].reject_above)
        assert d.scores["max_prob"] == pytest.approx(1 - max(d.probs.values()), abs=1e-4)
        if d.action == "reject":
            assert d.why.startswith("rejected: max prob ")
    with pytest.raises(ValueError, match="no router 'coin'; there are uar, .*confidence"):
        Router(exported, "coin")


def test_the_router_on_densities_has_an_old_name(exported, tiny_faces):
    with pytest.warns(FutureWarning, match="router 'familiarity' is now called 'density'"):
        router = Router(exported, "familiarity", batch_size=16)
    assert router.name == "density" and router.extra_scores == ("total", "ood_density")
    for decision in router(tiny_faces["test"].images[:16]):
        assert (decision.action == "reject") == (
            decision.scores["ood_density"] > router.rule.reject_above
        )


def test_the_file_opens_without_the_training_code(exported, live, tiny_faces, tmp_path):
    """In a process of its own: no network, no optimiser, no checkpoints, and the same answer."""
    np.save(tmp_path / "faces.npy", tiny_faces["test"].images[:5])
    code = f"""
import json, sys
import numpy as np
from ferjax.serving.router import Router
router = Router({str(exported)!r}, "uar", batch_size=16)
answers = [d.fields() for d in router(np.load({str(tmp_path / "faces.npy")!r}))]
heavy = ("flax", "optax", "orbax", "chex", "tensorflow_datasets", "matplotlib", "tyro",
         "ferjax.ensemble", "ferjax.models")
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


def test_the_rest_of_a_batch_changes_nothing(opened, tiny_faces):
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
    colour = rng.integers(0, 255, (100, 140, 3), np.uint8)
    assert opened([colour]) == opened(image_files.from_array(colour, opened.side)[None])
    with pytest.raises(ValueError, match=r"number 1 is float32 \[48, 48\]"):
        opened([np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.float32)])
    with pytest.raises(ValueError, match="number 0 is uint8"):
        opened(np.zeros((48, 48), np.uint8))


def test_other_thresholds_need_no_other_file(exported, tiny_faces):
    """In the form of version 0.1.0, and as rules; over other scores it would be another program."""
    lenient = {"aleatoric": None, "epistemic": None}
    router = Router(exported, "uar", thresholds=lenient, batch_size=16)
    assert {d.action for d in router(tiny_faces["test"].images[:32])} == {"accept"}
    strange = {"uar": router.rule.__class__(1.0, 2.0, defer="total", reject="total")}
    with pytest.raises(
        ValueError,
        match=r"router 'uar' over total and total is not in this file; "
        r"it has uar \(aleatoric, epistemic\)",
    ):
        Router(exported, thresholds=strange)


def test_an_opened_run_needs_thresholds(tmp_path):
    with pytest.raises(ValueError, match="give thresholds with an opened run"):
        Router(())
    with pytest.raises(FileNotFoundError, match="absent: neither a run folder nor an exported"):
        Router(tmp_path / "absent")


def test_a_model_no_better_than_the_most_frequent_class_is_announced(
    evaluated, tmp_path, capsys, ferjax, pictures
):
    """By the router, by the command, and by a file exported from it."""
    run = shutil.copytree(evaluated, tmp_path / "run", symlinks=True)
    path = run / "thresholds.json"
    said = "Always saying the most frequent class is right on 29.3 %"
    path.write_text(json.dumps({**json.loads(path.read_text()), "caution": said}))
    events = []
    router = Router(run, batch_size=4, on_event=events.append)
    assert router.program.caution == said
    told = [getattr(event, "text", "") for event in events]
    assert told[0] == "opening run" and told[-1] == "compiling for 4 pictures at a time"
    assert f"caution: {said}" in told
    assert ferjax("export", run, "--out", tmp_path / "file") == 0
    capsys.readouterr()
    assert ferjax("route", tmp_path / "file", pictures / "1.png") == 0
    assert f"caution: {said}" in capsys.readouterr().err
    assert not Router(evaluated, batch_size=4).program.caution
