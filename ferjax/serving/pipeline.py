"""Items in, lines out, in order: walking, decoding, the model and writing overlap.

A thread walks the sources, a pool decodes ahead, and the model decides on full batches while the
lines of the batch before are written. What is in flight is bounded, so memory does not grow with
the number of pictures. A picture that cannot be read costs its own line only.
"""

import collections
import contextlib
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import numpy as np

from ferjax.faces.image_files import Finder
from ferjax.serving.records import Lines, Record
from ferjax.serving.router import Decision, Router
from ferjax.serving.sources import Item

__all__ = ["Observer", "Routed", "route_items", "sample_faces"]

AHEAD = 4
"""Batches that are decoded ahead of the model."""
IDLE = 0.1
"""Seconds without a new picture after which a batch goes as it is: a live stream should not wait
for it to fill."""

Row = tuple[Record, np.ndarray | None]
Observer = Callable[[Record, np.ndarray | None, Decision | None], None]
"""Called with a line's record, its face uint8 ``[side, side]`` and the decision; the last two are
None where the picture could not be read."""


class Routed(NamedTuple):
    """Counts of lines: faces ``routed``, and pictures that ``failed``."""

    routed: int
    failed: int


def _decode(item: Item, side: int, find: Finder | None, colour: bool) -> list[Row]:
    start: Record = {"path": item.path}
    if item.row is not None:
        start["index"] = item.row
    start["passthrough"] = item.passthrough
    try:
        return [({**start, **place}, face) for place, face in item.load(side, find, colour)]
    except ValueError as error:
        return [({**start, "error": str(error)}, None)]
    except MemoryError:
        return [({**start, "error": "not enough memory to decode it"}, None)]


def _full(rows: list[Row], size: int) -> int:
    """How many leading rows make a full batch of ``size`` faces, or are too many to hold back; 0 if
    they do neither."""
    faces = 0
    for count, (_, face) in enumerate(rows, 1):
        faces += face is not None
        if faces == size or count == AHEAD * size:
            return count
    return 0


class _Feed:
    """Decodes items ahead, in order: iterate over futures; None stands for a pause of :data:`IDLE`
    seconds."""

    def __init__(self, items: Iterable[Item], decode: Callable[[Item], list[Row]], ahead: int):
        self._items = items
        self._decode = decode
        self._waiting: queue.Queue[Future | BaseException | None] = queue.Queue(ahead)
        self._pool = ThreadPoolExecutor(thread_name_prefix="decode")
        self._stopped = threading.Event()
        # A daemon: it may sit in a read of standard input that never returns.
        threading.Thread(target=self._walk, daemon=True, name="walk").start()

    def _put(self, value: Future | BaseException | None) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                return self._waiting.put(value, timeout=IDLE)

    def _walk(self) -> None:
        try:
            for item in self._items:
                if self._stopped.is_set():
                    return
                self._put(self._pool.submit(self._decode, item))
            self._put(None)
        except BaseException as error:  # it is raised where the lines are written
            self._put(error)

    def __iter__(self) -> Iterator[Future | None]:
        while True:
            try:
                value = self._waiting.get(timeout=IDLE)
            except queue.Empty:
                yield None
                continue
            if value is None:
                return
            if isinstance(value, BaseException):
                raise value
            yield value

    def close(self) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def sample_faces(
    items: Iterable[Item],
    side: int,
    *,
    find: Finder | None = None,
    colour: bool = False,
    most: int = 5000,
    on_picture: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """A uniform sample of the faces in pictures, the same for the same pictures.

    Args:
      items: the pictures; those that cannot be read are passed over.
      side: to which faces are brought, pixels.
      find: finds faces in a picture; without it every picture is one face.
      colour: whether their colour is kept.
      most: faces in the sample.
      on_picture: called with the number of pictures read.

    Returns:
      uint8 ``[face, side, side]``, or ``[face, side, side, 3]`` in colour.
    """
    uniform = random.Random(0)
    sample: list[np.ndarray] = []
    seen = 0
    done = 0
    feed = _Feed(items, lambda item: _decode(item, side, find, colour), AHEAD * 64)
    try:
        for future in feed:
            if future is None:
                continue
            for _, face in future.result():
                if face is None:
                    continue
                position = uniform.randrange(seen + 1) if seen >= most else seen
                if position < most:
                    sample[position : position + 1] = [face]
                seen += 1
            done += 1
            on_picture(done)
    finally:
        feed.close()
    shape = (side, side, 3) if colour else (side, side)
    return np.stack(sample) if sample else np.zeros((0, *shape), np.uint8)


def route_items(
    router: Router,
    items: Iterable[Item],
    lines: Lines,
    out: BinaryIO,
    *,
    find: Finder | None = None,
    observe: Observer = lambda record, face, decision: None,
) -> Routed:
    """Writes one line per face, in order; a picture that cannot be read gets one with ``error``.

    Args:
      router: the router.
      items: the pictures, see :mod:`ferjax.serving.sources`.
      lines: the format.
      out: where the lines go, in whole lines and flushed with every batch.
      find: finds faces in a picture; without it every picture is one face.
      observe: called for every line once it is written.

    Returns:
      How many lines of either kind were written.
    """
    size = router.batch_size
    routed = 0
    failed = 0
    waiting: list[Row] = []
    in_flight: collections.deque[tuple[list[Row], Future]] = collections.deque()

    def decide(rows: list[Row]) -> list[Decision]:
        faces = [face for _, face in rows if face is not None]
        return router(np.stack(faces)) if faces else []

    def launch(count: int) -> None:
        nonlocal waiting
        rows = waiting[:count]
        waiting = waiting[count:]
        if rows:
            in_flight.append((rows, model.submit(decide, rows)))

    def write_first() -> None:
        nonlocal routed, failed
        rows, future = in_flight.popleft()
        decisions = iter(future.result())
        finished: list[tuple[Record, np.ndarray | None, Decision | None]] = []
        for record, face in rows:
            decision = None if face is None else next(decisions)
            fields = {} if decision is None else decision.fields()
            finished.append(({**record, **fields}, face, decision))
        out.write(b"".join(lines.encode(record) for record, _, _ in finished))
        out.flush()
        for record, face, decision in finished:
            routed += decision is not None
            failed += decision is None
            observe(record, face, decision)

    feed = _Feed(items, lambda item: _decode(item, router.side, find, router.colour), AHEAD * size)
    model = ThreadPoolExecutor(1, thread_name_prefix="model")
    try:
        for future in feed:
            if future is not None:
                waiting += future.result()
            while full := _full(waiting, size):
                launch(full)
            if future is None:
                launch(len(waiting))
            while len(in_flight) > (future is not None):
                write_first()
        launch(len(waiting))
        while in_flight:
            write_first()
    finally:
        feed.close()
        model.shutdown(wait=False, cancel_futures=True)
    return Routed(routed, failed)
