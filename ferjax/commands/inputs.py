"""What a command reads is looked for before anything is loaded for it: a typing error should not
wait for JAX to start.

An argument that names something to read is marked with :class:`Reads`; :func:`require_inputs` looks
for all of them. Readers say the same again, to whoever calls them from Python.
"""

import dataclasses
import glob
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

if TYPE_CHECKING:
    from ferjax.config import DataConfig

__all__ = [
    "Reads",
    "collection",
    "config",
    "data_of",
    "data_set",
    "evaluated",
    "file",
    "judges",
    "named_file",
    "named_set",
    "panel",
    "pictures",
    "prior",
    "require_inputs",
    "run",
    "scores",
    "texts",
    "there",
    "weights",
]


class Reads(NamedTuple):
    """Marks an argument as what a command reads.

    Attributes:
      look: takes its value, one of its values where it has several; raises ValueError or OSError
        where nothing is there.
    """

    look: Callable[[Any], object]


def require_inputs(command: Any) -> None:
    """Looks for everything that a command's arguments say it reads.

    Raises:
      OSError: if something is not there.
      ValueError: if it is something else.
    """
    hints = typing.get_type_hints(type(command), include_extras=True)
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        values = value if isinstance(value, tuple) else (value,)
        for look in _looks(hints[field.name]):
            for one in values:
                if one is not None:
                    look(one)


def _looks(hint: Any) -> list[Callable[[Any], object]]:
    notes = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    return [note.look for note in notes if isinstance(note, Reads)]


def run(path: Path) -> None:
    """The folder of a run."""
    from ferjax.ensemble.folder import RunFolder

    RunFolder(path).config()


def evaluated(path: Path) -> None:
    """The folder of an evaluated run, what was adapted of one, or an exported file."""
    if path.is_dir() and not (path / "thresholds.json").is_file():
        raise FileNotFoundError(
            f"{path} holds no thresholds.json; choose thresholds with `ferjax evaluate {path}`"
        )
    if not path.exists():
        run(path)


def collection(path: Path) -> None:
    """The folder of collected answers."""
    from ferjax.texts.store import read_description

    read_description(path)


def file(path: Path) -> None:
    """A regular file."""
    from ferjax.files import require_file

    require_file(path)


def there(path: Path) -> None:
    """A file or a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")


def panel(path: Path) -> None:
    """People's ratings, a file or a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no panel at {path}")


def judges(path: Path) -> None:
    """A file of judgments or predictions."""
    from ferjax.files import require_file

    require_file(path, "judges")


def config(name: str | Path) -> None:
    """A file of a configuration, or the name of one that comes along."""
    from ferjax.config import find_config

    find_config(name)


def data_set(path: str) -> None:
    """The folder of a data set, or files of texts by wildcards."""
    if not glob.glob(str(path)):
        raise FileNotFoundError(f"no data set at {path}")


def data_of(config: "DataConfig") -> None:
    """The data that a configuration names: a data set, or files of texts."""
    from ferjax.faces import ferplus_files, picture_dataset

    if config.name == "ferplus":
        ferplus_files.require_built(config.path)
    elif config.name == "folder":
        picture_dataset.require_saved(config.path)
    elif config.name == "texts":
        texts(config.path)
        for name in filter(None, (config.held_out, config.embeddings)):
            file(Path(name))


def weights(source: str) -> None:
    """A file or folder of weights, or the name of some on the hub: OWNER/MODEL."""
    on_hub = source.count("/") == 1 and not source.startswith((".", "/"))
    if not on_hub and not Path(source).exists():
        raise FileNotFoundError(f"no weights at {source}")


def prior(name: str) -> None:
    """A class prior, by name or a file."""
    from ferjax.config import require_prior

    require_prior(name)


def pictures(source: str) -> None:
    """A file, folder, pattern or stream of pictures."""
    from ferjax.serving import sources

    sources.check([source])


def texts(pattern: str) -> None:
    """Files of texts, one or several by wildcards."""
    from ferjax.texts.items import files_of

    files_of(pattern)


def named_set(text: str) -> None:
    """A set of pictures as NAME=PATH."""
    from ferjax.faces.image_folders import parse

    _, path = parse(text)
    if not path.exists():
        raise FileNotFoundError(f"no such folder or file: {path}")


def named_file(text: str) -> None:
    """A file as NAME=FILE; what is none is refused by whoever reads it."""
    from ferjax.files import require_file

    _, _, path = text.partition("=")
    if path:
        require_file(path, "judgments")


def scores(path: Path) -> None:
    """Predictions, a file or folder of them, or NAME=FOLDER."""
    name, _, named = str(path).partition("=")
    if not path.exists() and not (name and named and Path(named).exists()):
        raise FileNotFoundError(f"no predictions at {named if name and named else path}")
