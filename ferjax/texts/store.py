"""Answers on disk: one JSON line an attempt, appended and never changed.

A folder of answers holds

====================  =============================================================================
file                  what it holds
====================  =============================================================================
``collection.json``   kind, labels and levels, and every prompt by its hash
``texts.jsonl``       the texts, by id
``answers.jsonl``     a line an attempt: the slot's key and place in the grid, ``status``, the raw
                      answer whole, and what the server said of it
====================  =============================================================================

``status`` is one of :data:`ANSWERED` (the model was asked and this is what came: ``ok``,
``refused``, ``empty``, ``cut`` by the limit of tokens) or of :data:`FAILED` (no answer came; the
slot is open and asked again). Lines are synced to the disk before their slots count as answered. A
kill can leave a part of the last lines; the next writer takes it away.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ferjax.files import parse_json, read_text, write_atomically
from ferjax.locking import FolderLock
from ferjax.texts.items import Texts, read_texts

__all__ = ["ANSWERED", "FAILED", "Store", "read_answers", "read_description", "read_items"]

ANSWERED = ("ok", "refused", "empty", "cut")
FAILED = ("http", "timeout", "connection", "malformed", "replayed")
_ANSWERS = "answers.jsonl"
_DESCRIPTION = "collection.json"
_TEXTS = "texts.jsonl"
_FIXED = ("kind", "labels", "none_label", "levels")


class Store:
    """The answers of a folder, open for one writer; use it as a context.

    Args:
      folder: made if it is not there.
      description: ``kind``, ``labels``, ``none_label``, ``levels``, which may not differ from those
        of earlier answers; ``synonyms``; and ``prompts``, which join the earlier ones.
      texts: join the earlier ones too.

    Raises:
      FileExistsError: if the folder holds something else, or a live process collects into it.
      ValueError: if it holds answers to another question, or is damaged; names what differs.
    """

    def __init__(self, folder: Path, description: dict[str, Any], texts: Texts):
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(f"{folder} is a file; answers need a folder")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _DESCRIPTION).is_file() and any(
            not path.name.startswith(".") and path.name != _TEXTS for path in folder.iterdir()
        ):  # the texts alone are what a kill leaves of a beginning
            raise FileExistsError(f"{folder} exists and holds no answers; choose another folder")
        self._lock = FolderLock(folder)
        self._lock.take()
        try:
            for stray in folder.glob(".*.[0-9]*"):  # of a process killed while it wrote a file
                stray.unlink()
            _describe(folder, description, texts)
            _mend(folder / _ANSWERS)
            self.answered = {
                line["key"] for line in read_answers(folder) if line["status"] in ANSWERED
            }
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.open(folder / _ANSWERS, flags, 0o644)
            _sync_folder(folder)
        except BaseException:
            self._lock.release()
            raise

    def append(self, lines: Iterable[dict[str, Any]]) -> None:
        """Writes lines and waits until the disk has them.

        Raises:
          OSError: if it cannot be written.
        """
        lines = list(lines)
        data = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)
        self.answered |= {line["key"] for line in lines if line["status"] in ANSWERED}

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        self._lock.release()


def read_answers(folder: Path) -> Iterator[dict[str, Any]]:
    """Every attempt in a folder, in the order of time.

    Of a collection in progress too: what is not whole at the end is left out.

    Raises:
      FileNotFoundError: if the folder holds no collection.
      ValueError: naming the file and the line that is damaged.
    """
    read_description(folder)
    path = folder / _ANSWERS
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            record = _record(line)
            if record is not None:
                yield record
            elif _any_whole(file):
                raise ValueError(
                    f"{path}, line {number}: damaged; delete that line, and its slot is asked again"
                )


def read_description(folder: Path) -> dict[str, Any]:
    """What was asked for: ``kind``, ``labels``, ``none_label``, ``levels``, ``prompts``.

    Raises:
      FileNotFoundError: if the folder holds no collection.
      ValueError: if the file is damaged.
    """
    path = folder / _DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no collection.json (`ferjax judge collect ... --out {folder}`)"
        )
    try:
        description = parse_json(read_text(path, "description of a collection"))
        if not isinstance(description, dict) or not {*_FIXED, "prompts"} <= set(description):
            raise ValueError(f"expected {', '.join((*_FIXED, 'prompts'))}")
    except ValueError as error:
        raise ValueError(f"{path}: not the description of a collection: {error}") from error
    return description


def read_items(folder: Path) -> Texts:
    """The texts of a collection, in the order in which they came."""
    return read_texts(folder / _TEXTS)


def _describe(folder: Path, description: dict[str, Any], texts: Texts) -> None:
    """Writes what is asked for beside what was, unless that was something else."""
    description = json.loads(json.dumps(description))
    if (folder / _DESCRIPTION).is_file():
        before = read_description(folder)
        for name in _FIXED:
            if before[name] != description[name]:
                raise ValueError(
                    f"{folder} holds answers to another question: {name} was {before[name]!r}, now "
                    f"{description[name]!r}; choose another folder"
                )
        description["prompts"] = {**before["prompts"], **description["prompts"]}
        known = read_items(folder)
        items = dict(zip(known.ids, known.texts))
        for item, text in zip(texts.ids, texts.texts):
            if items.setdefault(item, text) != text:
                raise ValueError(f"{folder}: id {item!r} was another text when its answers came")
    else:
        items = dict(zip(texts.ids, texts.texts))
    lines = (json.dumps({"id": item, "text": text}) + "\n" for item, text in items.items())
    write_atomically(folder / _TEXTS, "".join(lines).encode())
    write_atomically(folder / _DESCRIPTION, (json.dumps(description, indent=2) + "\n").encode())


def _record(line: bytes) -> dict[str, Any] | None:
    """The attempt that a line holds, None if it is not whole."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    sound = isinstance(record, dict) and isinstance(record.get("key"), str)
    return record if sound and record.get("status") in (*ANSWERED, *FAILED) else None


def _any_whole(rest: Iterable[bytes]) -> bool:
    return any(_record(line) is not None for line in rest)


def _mend(path: Path) -> None:
    """Takes away what a kill left of lines that were being written.

    They were in flight: nobody was told that they are there. Damage before whole lines is no
    kill's; it stays, and reading names it.
    """
    if not path.is_file():
        return
    with open(path, "r+b") as file:
        position = 0
        end = 0
        last = b"\n"
        for line in file:
            position += len(line)
            if _record(line) is not None:
                end = position
                last = line
        file.truncate(end)
        if not last.endswith(b"\n"):
            file.seek(end)
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes new names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
