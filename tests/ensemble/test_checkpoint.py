"""Stacked states to disk and back, whatever they hold; damage is noticed, named and passed over."""

import resource
import shutil
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.ensemble import checkpoint


class State(NamedTuple):
    params: dict
    key: jax.Array
    frozen: jax.Array


def state(step):
    return State(
        {"w": jnp.arange(6000.0).reshape(3, 2000) * step},
        jax.vmap(jax.random.key)(jnp.arange(3)),
        jnp.arange(3) == 1,
    )


LIKE = jax.eval_shape(lambda: state(0))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoints = checkpoint.Checkpoints(folder, keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step, state(step))
    checkpoints.close()
    return folder


def test_round_trip_with_typed_keys_and_the_newest_kept(written):
    assert checkpoint.steps(written) == [20, 30]
    for step, (found, got) in (
        (30, checkpoint.read(written, 3, like=LIKE)),
        (20, checkpoint.read(written, 3, like=LIKE, step=20)),
    ):
        assert found == step
        assert isinstance(got, State)
        np.testing.assert_array_equal(got.params["w"], state(step).params["w"])
        np.testing.assert_array_equal(got.frozen, [False, True, False])
        np.testing.assert_array_equal(
            jax.random.bits(got.key[1]), jax.random.bits(jax.random.key(1))
        )
    with pytest.raises(FileNotFoundError, match="of step 10"):
        checkpoint.read(written, 3, like=LIKE, step=10)


def test_a_part_is_read_by_its_name_and_padding_is_dropped(written):
    step, got = checkpoint.read(written, 2, parts=("params", "absent"))
    assert step == 30
    assert set(got) == {"params"}
    np.testing.assert_array_equal(got["params"]["w"], state(30).params["w"][:2])
    assert checkpoint.holds(written, "frozen") and not checkpoint.holds(written, "absent")


def test_a_checkpoint_without_its_list_of_arrays_is_named_in_words(written, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(written, folder)
    (folder / "30" / "default" / "_METADATA").unlink()
    said = []
    assert checkpoint.read(folder, 3, like=LIKE, on_event=said.append)[0] == 20
    assert "its list of arrays cannot be read" in said[0].text


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_damage_is_named_and_the_one_before_taken(written, tmp_path, harm):
    folder = tmp_path / "checkpoints"
    shutil.copytree(written, folder)
    largest = max(
        (path for path in (folder / "30").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    if harm == "delete":
        largest.unlink()
    else:
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 0x10
        largest.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    said = []
    step, got = checkpoint.read(folder, 3, like=LIKE, on_event=said.append)
    assert step == 20
    np.testing.assert_array_equal(got.params["w"], state(20).params["w"])
    assert len(said) == 1
    assert f"{folder / '30'} is damaged and was passed over" in said[0].text
    shutil.rmtree(folder / "20")
    with pytest.raises(ValueError, match="none of the 1 checkpoints in .* is whole"):
        checkpoint.read(folder, 3, like=LIKE, on_event=said.append)


def test_a_half_written_one_is_none_and_a_newer_future_goes(written, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(written, folder)
    (folder / "40.orbax-checkpoint-tmp-1").mkdir()
    assert checkpoint.steps(folder) == [20, 30]
    checkpoints = checkpoint.Checkpoints(folder)
    checkpoints.discard_after(20)
    checkpoints.save(30, state(7))
    checkpoints.close()
    assert {path.name for path in folder.iterdir()} == {"20", "30"}
    np.testing.assert_array_equal(
        checkpoint.read(folder, 3, like=LIKE)[1].params["w"], state(7).params["w"]
    )


def test_a_disk_that_takes_no_more_is_an_error_in_words_and_what_was_written_stands(
    written, tmp_path
):
    folder = tmp_path / "checkpoints"
    shutil.copytree(written, folder)
    checkpoints = checkpoint.Checkpoints(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As a full disk: a write fails in its middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        checkpoints.save(
            40,
            State(
                {"w": jax.random.normal(jax.random.key(0), (3, 300_000))},
                state(1).key,
                state(1).frozen,
            ),
        )
        with pytest.raises(
            OSError,
            match=r"could not write a checkpoint to .*: File too large; the newest whole one is of "
            "step 30",
        ):
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        checkpoints.close()
    assert checkpoint.read(folder, 3, like=LIKE)[0] == 30


def test_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        checkpoint.read(tmp_path / "checkpoints", 3)


class OldState(NamedTuple):
    """A state with the part names of version 0.1.0."""

    params: dict
    key: jax.Array
    health: dict
    tally: jax.Array


class NewState(NamedTuple):
    params: dict
    key: jax.Array
    status: dict
    means: jax.Array


def test_parts_under_their_old_names_are_read_and_checked_under_the_new_ones(tmp_path):
    old = OldState(state(1).params, state(1).key, {"frozen": state(1).frozen}, jnp.arange(3.0))
    new = NewState(*old)
    checkpoints = checkpoint.Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(5, old)
    checkpoints.close()
    assert checkpoint.holds(tmp_path / "checkpoints", "status")
    like = jax.eval_shape(lambda: new)
    step, got = checkpoint.read(tmp_path / "checkpoints", 3, like=like)
    assert step == 5
    chex.assert_trees_all_equal(got, new)
    _, parts = checkpoint.read(tmp_path / "checkpoints", 3, parts=("status",))
    chex.assert_trees_all_equal(parts, {"status": {"frozen": np.asarray(state(1).frozen)}})


def test_a_part_that_is_not_there_is_named(written):
    like = NewState(LIKE.params, LIKE.key, LIKE.frozen, LIKE.frozen)
    with pytest.raises(ValueError, match=r"the checkpoints in .* hold no status, means"):
        checkpoint.read(written, 3, like=like)


def test_the_size_of_a_state_is_that_of_its_arrays():
    assert checkpoint.size(LIKE) == 3 * 2000 * 4 + 3 * 2 * 4 + 3
