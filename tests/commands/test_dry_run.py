"""What a dry run says: whether it fits, and a command that trains just that."""

import shlex
from types import SimpleNamespace

import pytest

from ferjax.commands import dry_run
from ferjax.commands.parsing import parse
from ferjax.commands.train import Train
from ferjax.ensemble.cost import Budget
from ferjax.ensemble.placement import Placed


def placed(needed, *, limit=None, fits=True, devices=2, platform="cpu"):
    """A run that takes so many bytes on each of some devices."""
    stats = None if limit is None else {"bytes_limit": limit}
    device = SimpleNamespace(platform=platform, device_kind="thing", memory_stats=lambda: stats)
    layout = SimpleNamespace(devices=(device,) * devices)
    return Placed(layout, Budget(1, 0, 1.0, 1.0, needed, 0, 0, ""), 1.0, fits)


def test_memory_is_held_against_what_there_is():
    gib = 2**30
    found = dry_run.memory(placed(2 * gib, limit=16 * gib, platform="gpu"))
    assert found == (True, "fits: about 2.00 GiB of the 16.0 GiB that JAX takes on thing")
    found = dry_run.memory(placed(17 * gib, limit=16 * gib, fits=False, platform="gpu"))
    assert found.fits is False and found.said.startswith("does not fit: about 17.00 GiB of the 16")
    assert "--model.remat" in found.said
    assert dry_run.memory(placed(gib, platform="abacus")).fits is None


def test_devices_of_one_machine_share_its_memory(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}  # 4 GiB
    monkeypatch.setattr(dry_run.os, "sysconf", pages.__getitem__)
    assert dry_run.memory(placed(2**30, devices=3)).fits
    assert dry_run.memory(placed(2**30, devices=5)).fits is False


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--train.epochs 3 --train.seeds 7 8",
        "--model.flips --train.scn.share 0.4 --data.synthetic-faces 60",
        "--evaluate.corruptions gnoise imagenet_c.fog --train.learning-rate 0.001",
        "--model.trainable-blocks 1 --data.no-deduplicate",
    ],
)
def test_the_command_that_trains_is_the_one_that_was_given(options):
    asked = parse(Train, ["synthetic_tiny", "--dry-run", *options.split()], "ferjax train")
    said = dry_run.train_command("synthetic_tiny", asked.config, None, ["--chunk", "1"])
    again = parse(Train, shlex.split(said)[2:], "ferjax train")
    assert again.config == asked.config
    assert str(again.out) == "RUN" and again.chunk == 1
