"""Pictures with labels or votes, as every layout of them is read to; labels counted as votes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.faces.label_tables import LabelTable
from ferjax.files import printable, shortened

__all__ = ["Labelled", "counted", "kept", "of_table"]


class Labelled(NamedTuple):
    """Pictures and what people said of them.

    Attributes:
      pictures: what each is read from: a file, the bytes of one, or uint8 ``[H, W]``.
      names: what each is called in messages.
      votes: int64 ``[picture, class]`` counts; one for a label.
      abstentions: int64 ``[picture, kind]``.
      classes: names of the classes.
      kinds: names of the kinds of abstention.
      splits: train, valid, test, or "" where nothing says.
      groups: pictures of one group belong into one split; None: nothing says.
      notes: what everything was taken for, in words.
    """

    pictures: list[Any]
    names: list[str]
    votes: np.ndarray
    abstentions: np.ndarray
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    splits: list[str]
    groups: list[str] | None
    notes: tuple[str, ...]


def counted(
    labels: Sequence[str], classes: Sequence[str], names: Mapping[str, str], where: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Rows to keep, votes ``[kept, class]``, classes and notes, of one label each."""
    mapped = [names.get(label, label) for label in labels]
    keep = np.array([bool(name) for name in mapped])
    present = dict.fromkeys(sorted({name for name in mapped if name}))
    order = tuple(classes) or tuple(present)
    unknown = [name for name in present if name not in order]
    if unknown:
        label = printable(shortened(unknown[0], 60))
        known = printable(shortened(", ".join(order)))
        raise ValueError(
            f"{where}: label {label!r} is none of the classes {known}; say what it is with "
            f"--names {label}=CLASS, or leave it out with {label}="
        )
    if len(order) < 2:
        raise ValueError(f"{where}: only one label, {', '.join(order)}; at least two are needed")
    number = {name: i for i, name in enumerate(order)}
    votes = np.eye(len(order), dtype=np.int64)[[number[name] for name in mapped if name]]
    notes = [f"classes: {', '.join(order)}"]
    if not keep.all():
        notes.append(f"{(~keep).sum():,} pictures left out, as --names says")
    return keep, votes, order, tuple(notes)


def kept(values: Sequence[Any], keep: np.ndarray) -> list[Any]:
    """Those of some values that ``keep [value]`` keeps."""
    return [value for value, stays in zip(values, keep) if stays]


def of_table(
    table: LabelTable,
    found: Sequence[Any],
    classes: Sequence[str],
    abstentions: Sequence[str],
    names: Mapping[str, str],
    notes: Sequence[str],
) -> Labelled:
    """Pictures by a table: those that were found of it, and that its labels keep."""
    there = np.array([picture is not None for picture in found])
    kinds: tuple[str, ...] = ()
    if table.votes is not None:
        keep = there
        order = tuple(classes)
        kinds = tuple(abstentions)
        votes = table.votes[keep][:, : len(order)]
        abstained = table.votes[keep][:, len(order) :]
        said: tuple[str, ...] = (f"classes: {', '.join(order)}",)
    else:
        assert table.labels is not None
        labels = kept(table.labels, there)
        inside, votes, order, said = counted(labels, classes, names, "the table of labels")
        keep = there.copy()
        keep[there] = inside
        abstained = np.zeros((len(votes), 0), np.int64)
    return Labelled(
        kept(found, keep),
        kept(table.pictures, keep),
        votes,
        abstained,
        order,
        kinds,
        kept(table.splits, keep),
        None if table.groups is None else kept(table.groups, keep),
        (*table.notes, *notes, *said),
    )
