"""Collectives in a compiled program: which devices each joins, read from its text."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["Collective", "between_members", "collectives"]


class Collective(NamedTuple):
    """One collective operation of a program."""

    kind: str
    """E.g. ``all-reduce``."""
    groups: tuple[tuple[int, ...], ...]
    """Positions, in the program's order of devices, that it joins; pairs where one sends to the
    other. Empty: all of them together."""


_OPERATION = re.compile(
    r" (all-reduce|all-gather|all-to-all|ragged-all-to-all|reduce-scatter|collective-broadcast|"
    r"collective-permute)(?:-start)?\("
)
_GROUPS = re.compile(
    r"(?:replica_groups|source_target_pairs)="
    r"(?:\{(?P<listed>\{[\d,{} ]*\})?\}"
    r"|\[(?P<shape>[\d,]+)\]<=\[(?P<iota>[\d,]+)\](?:T\((?P<order>[\d,]+)\))?"
    r"|mesh\[(?P<mesh>[^\]]*)\](?:, device_ids=\((?:\[(?P<from>[\d,]+)\](?:T\((?P<turn>[\d,]+)\))?"
    r"|(?P<ids>[\d,]+))\))? \{(?P<axes>[^}]*)\})"
)
_AXIS = re.compile(r"'?([\w.]+)'?=(\d+)")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _iota(shape: str, order: str | None) -> np.ndarray:
    """Devices counted up in an array of that shape, whose axes are then put in that order."""
    sizes = _numbers(shape)
    table = np.arange(math.prod(sizes)).reshape(sizes)
    return table.transpose(_numbers(order) if order else range(len(sizes)))


def _rows(table: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in table)


def _groups(line: str) -> tuple[tuple[int, ...], ...]:
    """The groups of one line of text, in whichever of XLA's three notations.

    >>> _groups("replica_groups={{0,1},{2,3}}, ")
    ((0, 1), (2, 3))
    >>> _groups("replica_groups=[2,2]<=[2,2]T(1,0), ")
    ((0, 2), (1, 3))
    >>> _groups("replica_groups=mesh['a'=2,'b'=2] {'b'}, ")
    ((0, 1), (2, 3))
    >>> _groups("replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}, ")
    ((0, 2), (1, 3))
    """
    found = _GROUPS.search(line)
    if found is None:
        raise ValueError(f"cannot read which devices a collective joins: {line[:300]}")
    if found["iota"]:
        devices = _iota(found["iota"], found["order"])
        return _rows(devices.reshape(_numbers(found["shape"])))
    if found["mesh"]:
        sizes = {name: int(size) for name, size in _AXIS.findall(found["mesh"])}
        joined = re.findall(r"[\w.]+", found["axes"])
        if not set(joined) <= set(sizes):
            raise ValueError(f"cannot read which devices a collective joins: {line[:300]}")
        devices = np.arange(math.prod(sizes.values()))
        if found["from"]:
            devices = _iota(found["from"], found["turn"])
        elif found["ids"]:
            devices = np.array(_numbers(found["ids"]))
        table = devices.reshape(*sizes.values())
        kept = [k for k, name in enumerate(sizes) if name not in joined]
        moved = table.transpose(*kept, *[list(sizes).index(name) for name in joined])
        return _rows(moved.reshape(-1, math.prod(sizes[name] for name in joined)))
    listed = re.findall(r"\{([\d, ]+)\}", found["listed"] or "")
    return tuple(tuple(_numbers(group)) for group in listed)


def collectives(text: str) -> Iterator[Collective]:
    """Every collective of a compiled program.

    Args:
      text: of the program, as ``compiled.as_text()`` gives it.

    Raises:
      ValueError: if the text names devices in a way that is not known here.
    """
    for line in text.splitlines():
        operation = _OPERATION.search(line)
        if operation is not None:
            yield Collective(operation[1], _groups(line))


def between_members(found: Collective, replicas: int, devices: int) -> bool:
    """Whether a collective joins devices of different groups of members.

    Args:
      found: one of :func:`collectives`.
      replicas: devices to a group; those of one group lie beside one another.
      devices: of the program.

    >>> between_members(Collective("all-reduce", ((0, 1), (2, 3))), replicas=2, devices=4)
    False
    >>> between_members(Collective("all-reduce", ()), replicas=2, devices=4)
    True
    """
    groups = found.groups or (tuple(range(devices)),)
    return any(len({device // replicas for device in group}) > 1 for group in groups)
