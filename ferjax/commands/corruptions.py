"""``ferjax corruptions``: names of the corruptions, or a sheet of what each does to a picture."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import Number, OptionalNewFile
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Corruptions:
    """List the corruptions, or draw a sheet of them.

    The sheet has a row per corruption: the picture first, then severities 1 to 5.

        ferjax corruptions                           names, by suite
        ferjax corruptions IMAGE --sheet sheet.png   all of them on your picture
        ferjax corruptions --sheet sheet.png         on a drawn face
    """

    image: Annotated[
        Positional[Path | None], arg(metavar="[IMAGE]", help_behavior_hint=""), Reads(inputs.file)
    ] = None
    """A picture; its central square is used. A drawn face unless given."""
    sheet: OptionalNewFile = None
    """PNG to write."""
    suite: Literal["all", "paper", "imagenet_c"] = "all"
    """paper: the eleven of the paper; imagenet_c: ImageNet-C's fifteen and its four extras."""
    size: Number = 112
    """Side of the pictures, pixels."""
    seed: Number = 0
    """Seed of the noise."""

    def run(self) -> int:
        from ferjax.config import require_seed
        from ferjax.files import require_writable

        if self.sheet is None and self.image is not None:
            raise ValueError("what to write? give --sheet OUT.png")
        require_seed(self.seed, "--seed")
        if self.size < 32:
            raise ValueError(f"--size must be at least 32 pixels, got {self.size}")
        if self.sheet is not None:
            require_writable(self.sheet, reads=(self.image,), suffixes=("", ".png"))
        from ferjax import corruptions

        suites = {
            "paper": corruptions.PAPER,
            "imagenet_c": (*corruptions.IMAGENET_C, *corruptions.IMAGENET_C_EXTRA),
        }
        published = {name for names in suites.values() for name in names}
        others = tuple(name for name in corruptions.CORRUPTIONS if name not in published)
        if others:
            suites["others"] = others
        if self.suite != "all":
            suites = {self.suite: suites[self.suite]}
        if self.sheet is None:
            for suite, names in suites.items():
                out.print(f"{suite}: {', '.join(names)}")
            out.print("next: ferjax corruptions --sheet sheet.png draws them")
            return 0
        self._draw([name for names in suites.values() for name in names], self.sheet)
        out.print(
            f"wrote {self.sheet}\n"
            "next: ferjax evaluate RUN --corruptions NAME... holds a run against some of them"
        )
        return 0

    def _draw(self, names: list[str], sheet: Path) -> None:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from ferjax.commands.display import progress
        from ferjax.corruptions import corrupt
        from ferjax.faces import images
        from ferjax.report import plots

        clean = images.to_network_size(jnp.asarray(self._square())[None], self.size)

        def at_all_severities(name: str) -> np.ndarray:
            def at(severity: jax.Array) -> jax.Array:
                return corrupt(name, clean, severity, jnp.zeros(1, jnp.uint32), seed=self.seed)[0]

            return np.asarray(jax.jit(jax.vmap(at))(jnp.arange(1, 6)))

        rows = {}
        with progress("drawing the corruptions") as advance:
            for name in names:
                rows[name] = np.concatenate([clean, at_all_severities(name)])
                advance(1 / len(names), name)
        plots.corruption_sheet(rows, sheet)

    def _square(self) -> Any:
        """The central square of the picture, or a drawn face: uint8 ``[S, S]`` or ``[S, S, 3]``."""
        from ferjax.faces import image_files, synthetic

        if self.image is None:
            return synthetic.make(1, seed=3).images[0]
        try:
            picture = image_files.read_picture(self.image)
        except ValueError as error:
            raise ValueError(f"{self.image}: {error}") from error
        side = min(picture.shape[:2])
        top = (picture.shape[0] - side) // 2
        left = (picture.shape[1] - side) // 2
        return picture[top : top + side, left : left + side]
