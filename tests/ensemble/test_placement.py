"""Where members go: what should take least time and fits, by the model of a step's cost."""

import dataclasses
from typing import NamedTuple

import pytest

from ferjax.config import Config, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import cost, parallel, placement
from ferjax.ensemble.accelerators import KINDS, UNKNOWN, kind_of, memory_limit
from ferjax.faces import ferplus

FACES = {"train_faces": 28_709, "valid_faces": 3_589}


class Device(NamedTuple):
    """A device by what its cost depends on."""

    device_kind: str = KINDS["v5e"].device_kind
    platform: str = "tpu"
    process_index: int = 0


def devices(count, per_host=8, **of_all):
    return [Device(process_index=k // per_host, **of_all) for k in range(count)]


def config(members=5, size="b14", batch=256, **train):
    return Config(
        model=dinov2(size, dtype="bfloat16", remat=True),
        train=TrainConfig(seeds=tuple(range(members)), batch_size=batch, **train),
    )


def chosen(run, where, **given):
    return placement.choose(run, ferplus.SPEC, devices=where, **FACES, **given)


@pytest.mark.parametrize(
    "members, count, replicas, each",
    [(5, 8, 8, 5), (5, 4, 4, 5), (3, 8, 8, 3), (1, 8, 8, 1), (8, 8, 1, 1), (4, 8, 2, 1)],
)
def test_devices_do_not_wait_for_the_fullest(members, count, replicas, each):
    best = chosen(config(members), devices(count)).best
    assert (best.layout.replicas, best.layout.per_device) == (replicas, each)
    assert best.layout.idle == 0 and best.fits


@pytest.mark.parametrize("hosts", [1, 2])
def test_five_members_on_eight_devices_take_five_eighths_of_the_time(hosts):
    """And somewhat more, for the mean of the gradients; of one host and of two."""
    where = devices(8, per_host=8 // hosts)
    best, other = (chosen(config(), where, replicas=r).best for r in (8, 1))
    assert chosen(config(), where).best == best
    assert 0.625 < best.seconds / other.seconds < 0.72
    assert str(chosen(config(), where)).count("8 replicas share a batch") == 1


def test_slow_links_keep_members_apart():
    """A small network over a slow network: its gradients would travel longer than they take."""
    tiny = Config(train=TrainConfig(seeds=tuple(range(5))))
    card = {"device_kind": KINDS["h100"].device_kind, "platform": "gpu"}
    assert chosen(tiny, devices(8, per_host=1, **card)).best.layout.replicas == 1


def test_the_flag_decides():
    choice = chosen(config(), devices(8), replicas=2, chunk=1)
    assert choice.best.layout.replicas == 2 and choice.best.layout.at_once == 1
    assert choice.runner_up is None
    with pytest.raises(ValueError, match="7 replicas cannot share batches of 256"):
        chosen(config(), devices(8), replicas=7)


def test_replicas_divide_what_is_computed_at_once():
    run = config(5, batch=256, accumulate=64)
    assert chosen(run, devices(8)).best.layout.replicas in (1, 2, 4)


def test_what_does_not_fit_at_once_is_computed_in_chunks():
    """Five L/14 on one card: all at once would need more than JAX takes of it."""
    run = config(size="l14")
    where = devices(1, device_kind=KINDS["h100"].device_kind, platform="gpu")
    best = chosen(run, where).best
    assert best.fits and best.layout.at_once < best.layout.per_device
    at_once = dataclasses.replace(best.layout, chunk=None)
    budget = cost.estimate(run, ferplus.SPEC, at_once, **FACES)
    assert budget.device_bytes > 0.9 * memory_limit(where[0]) > best.budget.device_bytes


def test_no_chunk_is_taken_that_costs_padding():
    """Two of five members at once would fit on two devices, with one place of six left over."""
    best = chosen(config(5), devices(2)).best
    assert (best.layout.replicas, best.layout.at_once, best.layout.padding) == (2, 1, 0)
    padded = dataclasses.replace(best.layout, chunk=2)
    budget = cost.estimate(config(5), ferplus.SPEC, padded, **FACES)
    assert budget.device_bytes < 0.9 * memory_limit(devices(2)[0])


def test_where_nothing_fits_the_smallest_is_taken_and_said_not_to_fit():
    choice = chosen(config(size="g14"), devices(1))
    assert not choice.best.fits and choice.best.layout.at_once == 1


def test_memory_of_a_hundred_members_is_bounded_by_the_chunk():
    run = config(100, size="s14")
    where = devices(1, device_kind=KINDS["h100"].device_kind, platform="gpu")
    few = chosen(run, where, chunk=4).best.budget
    assert few.activation_bytes == chosen(config(4, size="s14"), where).best.budget.activation_bytes


@pytest.mark.parametrize("members, at_once", [(5, 5), (16, 16), (20, 1), (50, 1)])
def test_cpus_compute_few_members_at_once_and_of_many_one_by_one(members, at_once):
    where = devices(1, device_kind="cpu", platform="cpu")
    run = Config(train=TrainConfig(seeds=tuple(range(members))))
    assert chosen(run, where).best.layout.at_once == at_once


def test_cpus_compute_the_smallest_members_in_chunks_without_padding():
    where = devices(1, device_kind="cpu", platform="cpu")
    smallest = ModelConfig(patch_size=16, dim=16, depth=1, heads=2)
    run = Config(model=smallest, train=TrainConfig(seeds=tuple(range(50)), batch_size=16))
    best = chosen(run, where).best.layout
    assert (best.at_once, best.padding) == (10, 0)


def test_kinds_are_told_apart_by_the_longest_name():
    assert kind_of(Device()) == KINDS["v5e"]
    assert kind_of(Device("TPU v5p")) == KINDS["v5p"]
    assert kind_of(Device("cpu")) == UNKNOWN and memory_limit(Device("cpu", "cpu")) == 0
    card = Device(KINDS["h100"].device_kind, "gpu")
    assert memory_limit(card) == int(0.75 * KINDS["h100"].memory)
    for name, kind in KINDS.items():
        assert kind_of(Device(kind.device_kind)) == kind, name


def test_every_layout_is_cheaper_per_member_the_more_share_it():
    """Until the batch is shared by all: compute falls as 1 / r, and averaging grows slower."""
    run = config(1)
    alone = [
        placement.step_seconds(run, cost.estimate(run, ferplus.SPEC, x, **FACES), x)
        for x in parallel.layouts(1, devices(8), batch=256)
    ]
    assert alone == sorted(alone, reverse=True)
