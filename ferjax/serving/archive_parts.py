"""The parts of a file of ``ferjax export``, zipped and read back; JAX is not started for it.

See :mod:`ferjax.serving.archive` for what the parts are.
"""

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ferjax.faces.spec import DataSpec
from ferjax.files import digest_json, parse_json, printable, require_file, require_writable

__all__ = [
    "ABOUT",
    "FORMAT",
    "about_of",
    "digest_of",
    "is_exported",
    "naming_damage",
    "parts_of",
    "read_about",
    "require_replaceable",
    "zipped",
]

FORMAT = 3
"""Format 2 knew no weights in fewer bytes than the program takes them in."""
ABOUT = "ferjax.json"


def zipped(about: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """A zip archive of the parts, not compressed, and of what is said about them.

    Args:
      about: contents of ``ferjax.json``; ``digest`` is added unless it is there.
      parts: the others, by name.
    """
    about = {"digest": digest_of(about, parts), **about}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(ABOUT, json.dumps(about, indent=1) + "\n")
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def digest_of(about: Mapping[str, Any], parts: Mapping[str, bytes]) -> str:
    """The digest of everything a file consists of, but for the digest itself."""
    facts = {name: value for name, value in about.items() if name != "digest"}
    contents = {name: hashlib.blake2b(data).hexdigest() for name, data in parts.items()}
    return digest_json([facts, contents])


def is_exported(path: str | Path) -> bool:
    """Whether a file says of itself that ``ferjax export`` wrote it, whole or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            return ABOUT in file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def require_replaceable(out: Path) -> None:
    """Refuses to replace what ``ferjax export`` did not write.

    Raises:
      IsADirectoryError: if it is a folder.
      ValueError: if it cannot be written, or is another file.
    """
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; give the name of a file")
    require_writable(out)
    if out.exists() and out.stat().st_size and not is_exported(out):
        raise ValueError(f"cannot write {out}: it is there, and no file of `ferjax export`")


def read_about(path: str | Path) -> dict[str, Any]:
    """What a file says of itself, in ``ferjax.json``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no file of ``ferjax export``, is damaged, was changed, or is of a newer
        format.
    """
    with open(require_file(path, "exported file"), "rb") as file, naming_damage(str(path)):
        return about_of(parts_of(file))


@contextlib.contextmanager
def naming_damage(name: str) -> Iterator[None]:
    """Makes whatever reading junk raises a ValueError that names the file."""
    try:
        yield
    except _NewerFormatError as error:
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:  # what zipfile, JAX and MLIR raise for junk is no closed list
        said = printable((str(error).splitlines() or [type(error).__name__])[0][:300])
        raise ValueError(
            f"{name}: not a file that `ferjax export` wrote, or a damaged one: {said}"
        ) from error


class _NewerFormatError(ValueError):
    """A format that this version does not read."""


def parts_of(file: IO[bytes]) -> dict[str, bytes]:
    """Every part of the archive by name; none is compressed, so that none is larger than it."""
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if len(set(names)) < len(names):
            raise ValueError("a part is in it twice")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise ValueError(f"{info.filename} is compressed or encrypted")
        return {name: archive.read(name) for name in names}


def about_of(parts: Mapping[str, bytes]) -> dict[str, Any]:
    """What the file says of itself, once it says it in the right types and it is true."""
    about = parse_json(parts[ABOUT])
    if not isinstance(about, dict):
        raise ValueError(f"{ABOUT} must be an object")
    version = about["format"]
    if version not in range(1, FORMAT + 1) or isinstance(version, bool):
        raise _NewerFormatError(
            f"exported in format {version!r}, this version of ferjax reads 1 to {FORMAT}; "
            "use a newer ferjax, or export the run again"
        )
    spec = DataSpec.from_json(about)
    weights = about["weights"]
    if not isinstance(weights, int) or isinstance(weights, bool) or not 0 <= weights <= 10**6:
        raise ValueError(f"weights must be a number of arrays, got {weights!r}")
    if not isinstance(about["provenance"], dict):
        raise ValueError("provenance must be an object")
    if version != 1:
        others = {name: data for name, data in parts.items() if name != ABOUT}
        if about.get("digest") != digest_of(about, others):
            raise ValueError("its parts are not those it was exported with: the digest differs")
    return {**about, **spec.to_json()}
