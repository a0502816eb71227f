"""Collectives of a compiled program, in each of XLA's notations."""

import pytest

from ferjax.ensemble.collectives import Collective, between_members, collectives


@pytest.mark.parametrize(
    "groups, expected",
    [
        ("replica_groups={{0,1},{2,3}}", ((0, 1), (2, 3))),
        ("replica_groups={{0}, {1}}", ((0,), (1,))),
        ("replica_groups=[2,4]<=[8]", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", ((0, 4), (1, 5), (2, 6), (3, 7))),
        ("replica_groups=mesh['m'=2,'r'=2] {'r'}", ((0, 1), (2, 3))),
        ("replica_groups=mesh['m'=2,'r'=2] {'m'}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['m'=2,'r'=2], device_ids=([2,2]T(1,0)) {'r'}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['m'=2,'r'=2], device_ids=([4]) {'r'}", ((0, 1), (2, 3))),
        ("replica_groups=mesh['m'=2,'r'=2], device_ids=(3,1,2,0) {'r'}", ((3, 1), (2, 0))),
        ("replica_groups={}", ()),
    ],
)
@pytest.mark.parametrize("start", ["", "-start"])
def test_groups_are_read(groups, expected, start):
    line = f"  %x = f32[2]{{0}} all-reduce{start}(%y), channel_id=1, {groups}, to_apply=%add"
    assert list(collectives(line)) == [Collective("all-reduce", expected)]


def test_pairs_are_read():
    line = "%p = f32[2] collective-permute(%y), source_target_pairs={{0,1},{1,0}}"
    assert list(collectives(line)) == [Collective("collective-permute", ((0, 1), (1, 0)))]


@pytest.mark.parametrize(
    "groups", ["", "replica_groups=mesh['m'=2,'r'=4] {'r':(1)2}", "replica_groups=@mesh_1 {'r'}"]
)
def test_what_cannot_be_read_is_an_error_and_not_none(groups):
    with pytest.raises(ValueError, match="cannot read which devices"):
        list(collectives(f"%x = f32[2] all-gather(%y), {groups}, dimensions={{0}}"))


def test_ends_of_a_collective_are_not_counted_again():
    assert list(collectives("%d = f32[2] all-reduce-done(%s)")) == []


@pytest.mark.parametrize(
    "groups, between",
    [
        (((0, 1), (2, 3)), False),
        (((0, 2), (1, 3)), True),
        (((0, 1, 2, 3),), True),
        ((), True),
        (((1, 2),), True),
    ],
)
def test_between_members_is_across_groups_of_replicas(groups, between):
    assert between_members(Collective("all-reduce", groups), 2, 4) == between
