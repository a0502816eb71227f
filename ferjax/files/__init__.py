"""Files: written whole or not at all, and read so that no content can surprise.

Every reader raises ``ValueError`` (or ``FileNotFoundError``) in one sentence that names the file,
whatever the file holds, and takes no more memory than it says: claims of a header are checked
against the file before anything is allocated. Nothing is ever unpickled.
"""

from ferjax.files._arrays import OpenArray, open_array, read_array, read_arrays
from ferjax.files._digests import digest_arrays, digest_json
from ferjax.files._json import finite, parse_json, read_json, read_json_lines
from ferjax.files._reading import printable, read_text, require_file, shortened
from ferjax.files._tables import Row, cell, read_table
from ferjax.files._writing import (
    new_folder,
    require_folder,
    require_new_folder,
    require_writable,
    same_file,
    write_atomically,
)

__all__ = [
    "OpenArray",
    "Row",
    "cell",
    "digest_arrays",
    "digest_json",
    "finite",
    "new_folder",
    "open_array",
    "parse_json",
    "printable",
    "read_array",
    "read_arrays",
    "read_json",
    "read_json_lines",
    "read_table",
    "read_text",
    "require_file",
    "require_folder",
    "require_new_folder",
    "require_writable",
    "same_file",
    "shortened",
    "write_atomically",
]
