"""ImageNet-C's corruptions against the package imagecorruptions: agreement and speed.

    python -m benchmarks.corruptions [--quick] [--out FOLDER]

Both sides corrupt the same drawn faces at 224 and at 48 pixels. Where nothing is random, pixels are
compared: the share within 2/255 of the package's. Where the noise is drawn, statistics are: the
difference of mean and of spread (in 1/255), and of the amplitude spectrum of what was added, in
octaves (the mean absolute difference of log2 amplitudes over rings of frequency; 0 is the same
texture, 1 is twice or half of it).

Speed is the package's time over ours, one picture each, in turns within one run, after compilation.
The package works on one picture at a time and in one process, as its users call it; ours on a batch
with all cores.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import results
from benchmarks.timing import interleave
from ferjax.corruptions import IMAGENET_C, IMAGENET_C_EXTRA, corrupt
from ferjax.faces import images, synthetic

DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)
SEVERITIES = (1, 2, 3, 4, 5)


class Distance(NamedTuple):
    """How far two sets of corrupted pictures are apart: 1/255, 1/255, octaves."""

    mean: float
    spread: float
    spectrum: float


def faces(count: int, side: int) -> np.ndarray:
    """Drawn faces as uint8 ``[count, side, side, 3]``."""
    pictures = images.to_network_size(jnp.asarray(synthetic.make(count, seed=0).images), side)
    return np.round(np.asarray(pictures) * 255).astype(np.uint8)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Share of pixel values within 2/255 of each other; both 0..255."""
    return float(np.mean(np.abs(ours - theirs) <= 2))


def _log_spectrum(added: np.ndarray) -> np.ndarray:
    """log2 amplitude ``[ring]`` of pictures ``[..., H, W, C]``, eight rings up to Nyquist's."""
    power = np.mean(np.abs(np.fft.fft2(added, axes=(-3, -2))) ** 2, axis=(0, -1))
    frequency = np.hypot(
        *np.meshgrid(*(np.fft.fftfreq(side) for side in power.shape), indexing="ij")
    )
    rings = [(frequency > low / 16) & (frequency <= (low + 1) / 16) for low in range(8)]
    return 0.5 * np.log2(np.array([power[ring].mean() for ring in rings]) + 1e-6)


def distance(clean: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> Distance:
    """Compares two sets of corrupted pictures of the same clean ones, all 0..255.

    Args:
      clean: ``[face, H, W, C]``.
      ours: ``[face, H, W, C]``.
      theirs: ``[face, H, W, C]``.
    """
    return Distance(
        abs(ours.mean() - theirs.mean()),
        abs(ours.std() - theirs.std()),
        float(np.abs(_log_spectrum(ours - clean) - _log_spectrum(theirs - clean)).mean()),
    )


def reference(pixels: np.ndarray, severity: int, name: str) -> np.ndarray:
    """The package's corruption of ``pixels [face, H, W, 3]``, one by one."""
    import imagecorruptions

    return np.stack([imagecorruptions.corrupt(picture, severity, name) for picture in pixels])


def compare(
    full_name: str, pixels: np.ndarray, severities: Sequence[int], runs: int
) -> tuple[list[str], float, float]:
    """One row of the table.

    Args:
      full_name: one of :data:`ferjax.corruptions.CORRUPTIONS`.
      pixels: uint8 ``[face, H, W, 3]``.
      severities: 1..5 each.
      runs: timed calls of each side.

    Returns:
      a cell per severity, and the seconds per picture of ours and of theirs, mean over the
      severities.
    """
    name = full_name.rpartition(".")[2]
    apply = jax.jit(
        lambda pictures, severity: corrupt(full_name, pictures, severity, jnp.arange(len(pixels)))
    )
    pictures = jnp.asarray(pixels / 255, jnp.float32)
    clean = pixels.astype(float)
    few = pixels[: max(1, len(pixels) // 8)]  # enough to time the package by
    cells = []
    seconds = np.zeros(2)
    for severity in severities:
        ours = np.asarray(apply(pictures, severity)) * 255
        theirs = reference(pixels, severity, name).astype(float)
        if name in DETERMINISTIC:
            cells.append(f"{agreement(ours, theirs):.1%}")
        else:
            cells.append("{:.1f} {:.1f} {:.2f}".format(*distance(clean, ours, theirs)))
        calls = {
            "ours": lambda s=severity: apply(pictures, s),
            "theirs": lambda s=severity: reference(few, s, name),
        }
        timing = interleave(calls, runs)
        seconds[0] += timing["ours"].median / len(pixels)
        seconds[1] += timing["theirs"].median / len(few)
    ours_mean, theirs_mean = seconds / len(severities)
    return cells, float(ours_mean), float(theirs_mean)


def run(found: results.Results) -> None:
    """A table per size."""
    names = (*IMAGENET_C, *IMAGENET_C_EXTRA)
    plan = [(48, 2)] if found.quick else [(224, 16), (48, 64)]
    if found.quick:
        names = ("imagenet_c.gaussian_noise", "imagenet_c.contrast", "imagenet_c.jpeg_compression")
    try:
        import imagecorruptions  # noqa: F401
    except ImportError:
        found.say(
            "\nimagecorruptions is not installed (pip install '.[peers]'): nothing to compare with"
        )
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own
        for side, count in plan:
            _table(
                found,
                faces(count, side),
                names,
                (1, 5) if found.quick else SEVERITIES,
                runs=2 if found.quick else 3,
            )


def _table(
    found: results.Results,
    pixels: np.ndarray,
    names: Sequence[str],
    severities: Sequence[int],
    runs: int,
) -> None:
    found.table(
        f"{pixels.shape[1]} px, {len(pixels)} faces: share of pixels within 2/255, "
        "or |Δmean| |Δstd| in 1/255 and spectrum in octaves",
        "corruption",
        *(f"severity {s}" for s in severities),
        "ours, images/s",
        "package, images/s",
        "ratio",
    )
    totals: dict[str, np.ndarray] = {}
    for name in names:
        cells, ours, theirs = compare(name, pixels, severities, runs)
        suite = "all fifteen" if name in IMAGENET_C else "four extras"
        totals[suite] = np.add(totals.get(suite, np.zeros(2)), (ours, theirs))
        found.row(name, *cells, 1 / ours, 1 / theirs, theirs / ours)
    for suite, (ours, theirs) in totals.items():
        found.row(suite, *("" for _ in severities), 1 / ours, 1 / theirs, theirs / ours)


if __name__ == "__main__":
    results.main(run, __doc__)
