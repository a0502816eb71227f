"""A long table of models' answers: a row an answer, columns model, temperature and values.

Columns that name a person's role or a prompt (``persona``, ``prompt``) are part of the item: it is
another question. An answer whose values are empty came and could not be read: it is unparsed.
"""

from pathlib import Path

import numpy as np

from ferjax.judgments import Judge, Judgments
from ferjax.texts.readers._long import ITEM
from ferjax.texts.readers._rows import Csv, number

__all__ = ["read_answers", "recognised"]

_MODEL = ("model", "judge")
_TEMPERATURE = ("temperature",)
_QUESTION = ("persona", "prompt", "role")
_ABOUT = ("timestamp", "developer", "vendor", "provider", "trial", "sample", "seed", "text_body")


def recognised(header: tuple[str, ...]) -> bool:
    """Whether it names an item, a model and a temperature."""
    lower = {name.lower() for name in header}
    named = [lower & {*ITEM, "text"}, lower & set(_MODEL), lower & set(_TEMPERATURE)]
    return all(named)


_LARGEST = 2**28
"""Values of the largest table: a small file of few answers to many items can claim any size."""


def read_answers(path: str | Path) -> Judgments:
    """Reads the table.

    Args:
      path: CSV with a header; every column that is neither item, model, temperature, question nor
        about the request holds values.

    Returns:
      Judgments of kind real, a judge for each model and temperature.

    Raises:
      ValueError: naming file and line of the first row that is wrong.
    """
    table = Csv(Path(path))
    if not recognised(table.header):
        raise ValueError(f"{path}: no table of answers; needs columns item, model, temperature")
    lower = {name.lower(): name for name in table.header}
    item = next(lower[name] for name in (*ITEM, "text") if name in lower)
    model = next(lower[name] for name in _MODEL if name in lower)
    heat = lower["temperature"]
    question = [lower[name] for name in _QUESTION if name in lower]
    about = {item, model, heat, *question, *(lower[name] for name in _ABOUT if name in lower)}
    dimensions = tuple(name for name in table.header if name not in about)
    if not dimensions:
        raise ValueError(f"{path}: no column of values")
    answers: dict[Judge, dict[str, list[list[float]]]] = {}
    items: dict[str, None] = {}
    unparsed: dict[tuple[Judge, str], int] = {}
    for row in table:
        temperature = None
        if row.fields[heat].strip():
            temperature = number(row, heat, row.fields[heat])
        judge = Judge(row.text(model), temperature)
        name = " / ".join([row.text(item), *(row.text(column) for column in question)])
        items.setdefault(name)
        own = answers.setdefault(judge, {}).setdefault(name, [])
        given = [row.fields[column].strip() for column in dimensions]
        if all(given):
            own.append([number(row, c, value) for c, value in zip(dimensions, given)])
        else:
            unparsed[judge, name] = unparsed.get((judge, name), 0) + 1
    judges = tuple(answers)
    shape = (len(judges), len(items))
    most = max((len(own) for of in answers.values() for own in of.values()), default=0)
    size = len(judges) * len(items) * most * len(dimensions)
    if size > _LARGEST:
        raise ValueError(
            f"{path}: {len(judges):,} judges x {len(items):,} items x {most:,} answers of one are "
            f"a table of {size:,} values; at most {_LARGEST:,} are read"
        )
    values = np.full((*shape, most, len(dimensions)), np.nan, np.float32)
    asked = np.zeros(shape, np.int32)
    lost = np.zeros(shape, np.int32)
    for j, judge in enumerate(judges):
        for i, name in enumerate(items):
            own = answers[judge].get(name, [])
            values[j, i, : len(own)] = np.array(own).reshape(len(own), len(dimensions))
            lost[j, i] = unparsed.get((judge, name), 0)
            asked[j, i] = len(own) + lost[j, i]
    return Judgments(
        kind="real",
        classes=dimensions,
        judges=judges,
        ids=np.array(list(items), np.str_),
        asked=asked,
        unparsed=lost,
        values=values,
    )
