"""What every reader of a file asks first: is it a file, is it text; and text made fit to print."""

import codecs
import os
import stat
import unicodedata
from pathlib import Path

__all__ = ["printable", "read_text", "require_file", "shortened"]

LARGEST_TEXT = 2**30
"""Bytes of the largest text file that is read."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def require_file(path: str | os.PathLike, what: str = "file") -> Path:
    """The path, if a regular file is there.

    Anything else is refused before it is opened: opening a FIFO would wait for ever.

    Args:
      path: the file.
      what: what it should be, for the message.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: if it is a folder, a device or a pipe.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        said = f"no such file: {path}" if what == "file" else f"no {what} at {path}"
        raise FileNotFoundError(said) from None
    except ValueError as error:  # a NUL in the name
        raise ValueError(f"{str(path)!r}: {error}") from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path}: a folder, not a regular file; expected a {what}")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path}: not a regular file, expected a {what}")
    return path


def read_text(path: str | os.PathLike, what: str = "file", largest: int = LARGEST_TEXT) -> str:
    """The text of a file in UTF-8, or in UTF-16 where it begins with a byte order mark.

    Args:
      path: the file.
      what: what it should be, for messages.
      largest: bytes above which it is not read.

    Raises:
      FileNotFoundError: if there is nothing.
      ValueError: naming the file, if it is no regular file, is too large, or is in another
        encoding; then the line too.
    """
    path = require_file(path, what)
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{path}: {size:,} bytes; a {what} of more than {largest:,} is not read")
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: not {encoding.upper()} text (byte 0x{data[error.start]:02x}); "
            "save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"{path}, line {line}: holds NUL characters, so it is no text, or UTF-16 without a "
            "byte order mark; save it as UTF-8"
        )
    return text


def printable(text: str, *, surrogates: bool = False) -> str:
    """Text that cannot steer a terminal: control and direction characters as ``\\x1b``.

    Line breaks and tabs stay; half surrogates, which no terminal takes, are escaped too, unless
    ``surrogates`` keeps them: they stand for the bytes of a file's name.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    # Cc: control; Cf: directions and marks; Cs: half surrogates; Zl, Zp: line separators.
    escaped = {"Cc", "Cf", "Zl", "Zp"} | (set() if surrogates else {"Cs"})
    harmful = (unicodedata.category(c) in escaped and c not in "\n\t" for c in text)
    return "".join(_escaped(c) if bad else c for c, bad in zip(text, harmful))


def shortened(text: str, most: int = 300) -> str:
    """Text of at most so many characters, the middle of a longer one left out.

    >>> shortened("0123456789", 5)
    '01…89'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def _escaped(character: str) -> str:
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
