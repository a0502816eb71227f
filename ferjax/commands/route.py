"""``ferjax route``: decisions on pictures."""

import dataclasses
import sys
from pathlib import Path

from tyro.conf import Positional

from ferjax.commands.console import err

SOME_FAILED = 3
"""Exit status when some pictures could not be routed and the rest were."""


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on pictures: one JSON line each, with action, label, whole distribution, both uncertainties, and why.

    A picture is taken as one face: gray, its central square, 48 x 48. A file that is no picture gets a line with "error";
    the others go on, and the exit status is 3.
    """

    run_folder: Positional[Path]
    """An evaluated run (it brings the thresholds)."""
    paths: Positional[tuple[Path, ...]]
    """Image files, folders of them, or .npz files with an array `images`."""
    out: Path | None = None
    """Write the lines here instead of standard output."""

    def run(self) -> int:
        from ferjax.serving.files import find, route_files
        from ferjax.serving.router import Router

        if not self.paths:
            raise ValueError("nothing to route: give image files, folders, or .npz files")
        list(find(self.paths))  # a wrong path should not wait for the model to load
        router = Router(self.run_folder)
        if self.out is None:
            routed, failed = route_files(router, self.paths, sys.stdout)
        else:
            with open(self.out, "w") as file:
                routed, failed = route_files(router, self.paths, file)
        err.print(f"{routed} routed" + (f", {failed} could not be read (see the lines with \"error\")" if failed else ""), highlight=False)
        return SOME_FAILED if failed else 0
