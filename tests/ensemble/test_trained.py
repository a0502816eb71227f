"""Opening a run: what is none or was changed is refused, and one member is a whole network."""

import json
import shutil

import jax
import numpy as np
import pytest

from ferjax.ensemble import densities, prediction
from ferjax.ensemble.regroup import open_run_members, select
from ferjax.faces import ferplus
from ferjax.serving import live


@pytest.fixture(scope="module")
def trained(run):
    return prediction.load_run(run)


def test_a_run_opens_with_all_its_members(trained, tiny):
    assert trained.config == tiny
    assert trained.spec == ferplus.SPEC
    assert {len(leaf) for leaf in jax.tree.leaves(trained.params)} == {3}
    assert trained.trunk is None
    assert trained.densities is not None


def test_densities_of_other_members_are_not_taken_for_its_own(run, tmp_path):
    select(run, (0, 1), tmp_path / "fewer")
    shutil.copy(run / "densities.safetensors", tmp_path / "fewer")
    fewer = prediction.load_run(tmp_path / "fewer")
    assert len(fewer.best_accuracy) == 2
    assert fewer.densities is None


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("config.json", '"heads": 2', '"heads": 4', "with another one: model.heads 2 -> 4"),
        ("config.json", "1,\n      2,\n      3\n", "1,\n      2\n", r"train.seeds \(1, 2, 3\) ->"),
        ("config.json", '"method": "votes"', '"method": "labels"', "train.method votes -> labels"),
        ("data.json", "happiness", "joy", "was written with DataSpec"),
    ],
)
def test_a_file_changed_under_the_checkpoint_is_refused(run, tmp_path, file, old, new, message):
    copy = shutil.copytree(run, tmp_path / "run")
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        prediction.load_run(copy)
    with pytest.raises(ValueError, match=message):
        open_run_members(copy)
    (copy / file).write_text(text)
    assert prediction.load_run(copy).digest == prediction.load_run(run).digest


def test_evaluation_settings_are_free_to_change(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace('"resamples": 50', '"resamples": 60'))
    assert prediction.load_run(copy).config.evaluate.resamples == 60


def test_every_flipped_byte_of_the_densities_is_found(run, tmp_path):
    whole = (run / "densities.safetensors").read_bytes()
    rng = np.random.default_rng(0)
    digest = prediction.load_run(run).digest
    for at in rng.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "densities.safetensors").write_bytes(changed)
        try:
            found = densities.load(tmp_path, digest)
        except ValueError:
            continue
        # A flip in what says of itself where it belongs: it belongs nowhere, or is not believed.
        assert found is None or densities.digest(tmp_path) == densities.digest(run)


def test_thresholds_are_of_these_members_and_these_densities(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    live.load(copy)
    text = (copy / "thresholds.json").read_text()
    values = json.loads(text)
    values["routers"]["uar"]["reject"]["above"] = None
    (copy / "thresholds.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"thresholds\.json: changed since `ferjax"):
        live.load(copy)
    heard = []
    (copy / "thresholds.json").write_text(json.dumps({"routers": values["routers"]}))
    assert np.isinf(live.load(copy, on_event=heard.append).rules["uar"].reject_above)
    assert any("does not say which members" in event.text for event in heard)
    (copy / "thresholds.json").write_text(text)
    state = densities.load(copy)
    moved = state.joint._replace(mean=state.joint.mean + 1)
    densities.save(state._replace(joint=moved), copy, prediction.load_run(copy).digest)
    with pytest.raises(ValueError, match="chosen with other densities than this run has now"):
        live.load(copy)
    select(run, (0, 1), tmp_path / "fewer")
    shutil.copy(run / "thresholds.json", tmp_path / "fewer")
    with pytest.raises(ValueError, match="chosen for other members than this run has now"):
        live.load(tmp_path / "fewer")


def test_one_member_is_a_whole_network(trained):
    with pytest.raises(ValueError, match=r"no member 3: this run has members 0\.\.2"):
        prediction.member_params(trained, 3)


def test_what_is_no_trained_run_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run: it holds no config.json"):
        prediction.load_run(tmp_path)
    shutil.copy(run / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no checkpoints; was it trained"):
        prediction.load_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        prediction.load_run(tmp_path)
