"""``ferjax corruptions``: what each corruption does to a picture, to look at."""

import dataclasses
import functools
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ferjax.commands.console import out


@dataclasses.dataclass(frozen=True)
class Corruptions:
    """List the corruptions, or draw a sheet of them: a row per corruption, the picture first, then
    severities 1 to 5.

    ferjax corruptions : names, by suite

    ferjax corruptions --sheet sheet.png IMG : all of them on a picture of yours

    ferjax corruptions --sheet sheet.png : on a drawn face
    """

    image: Positional[Path | None] = None
    """A picture; its central square is used. A drawn face unless given."""
    sheet: Path | None = None
    """PNG to write."""
    suite: Literal["all", "paper", "imagenet_c"] = "all"
    """paper: the eleven of the paper; imagenet_c: ImageNet-C's fifteen and its four extras."""
    size: int = 112
    """Side of the pictures, pixels."""
    seed: int = 0
    """Seed of the noise."""

    def run(self) -> int:
        from ferjax.corruptions import suites

        by_suite = {
            "paper": suites.PAPER,
            "imagenet_c": (*suites.IMAGENET_C, *suites.IMAGENET_C_EXTRA),
        }
        names = tuple(
            n for suite, inside in by_suite.items() if self.suite in ("all", suite) for n in inside
        )
        if self.sheet is None:
            if self.image is not None:
                raise ValueError("what to write? give --sheet OUT.png")
            for suite, inside in by_suite.items():
                if self.suite in ("all", suite):
                    out.print(f"{suite}: {', '.join(inside)}", highlight=False)
            return 0
        if self.size < 32:
            raise ValueError(f"--size must be at least 32 pixels, got {self.size}")
        return self._draw(names)

    def _draw(self, names: tuple[str, ...]) -> int:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from ferjax.corruptions import suites
        from ferjax.faces import images, synthetic
        from ferjax.report import plots

        picture = (
            synthetic.make(1, seed=3)[0][0]
            if self.image is None
            else plots.read_picture(self.image)
        )
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        square = picture[top : top + side, left : left + side]
        clean = images.to_network_size(jnp.asarray(square)[None], self.size)

        @functools.partial(jax.jit, static_argnums=0)
        def at_each_severity(name: str, picture: jax.Array) -> jax.Array:
            def at(severity: jax.Array) -> jax.Array:
                return suites.corrupt(
                    name, picture, severity, jnp.zeros(1, jnp.uint32), seed=self.seed
                )[0]

            return jax.vmap(at)(jnp.arange(1, 6))

        rows = {name: np.concatenate([clean, at_each_severity(name, clean)]) for name in names}
        assert self.sheet is not None
        plots.corruption_sheet(rows, self.sheet)
        out.print(f"wrote {self.sheet}", highlight=False, soft_wrap=True)
        return 0
