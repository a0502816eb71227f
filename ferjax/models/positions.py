"""Position embeddings at another resolution: three published rules, each as an explicit matrix.

DINOv2 checkpoints hold a 37 × 37 grid of positions (518 pixels). Every code base resizes it
differently, and none of them is what ``jax.image.resize`` does (a = -0.5, antialias by default); on
real weights the wrong rule moves an 8 × 8 grid by 2-29 % rms. The rule belongs to the weights, so
it is chosen by their origin:

============  ====================================================================================
rule          who
============  ====================================================================================
offset        the original repository without registers: bicubic a = -0.75, no antialias, and a
              scale of (n + 0.1) / 37
antialias     the original with registers, Hugging Face with registers, timm: a = -0.5, antialias,
              by output size
plain         Hugging Face ``Dinov2Model``: a = -0.75, no antialias, by output size
============  ====================================================================================

References: the interpolation code of facebookresearch/dinov2, transformers and timm;
torch.nn.functional.interpolate.
"""

import numpy as np

__all__ = ["RULES", "cubic_matrix", "resize_positions"]

RULES = ("offset", "antialias", "plain")


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def cubic_matrix(source: int, target: int, rule: str) -> np.ndarray:
    """Interpolation along one axis as a matrix ``[target, source]`` (float64; rows sum to 1).

    Args:
      source: positions along the checkpoint's grid.
      target: positions wanted.
      rule: one of :data:`RULES`.

    Raises:
      ValueError: on an unknown rule.

    References:
      Keys, Cubic convolution interpolation for digital image processing, 1981.

    >>> cubic_matrix(37, 37, "plain").diagonal().min().item()
    1.0
    """
    if rule not in RULES:
        raise ValueError(f"unknown position rule {rule!r}; known: {', '.join(RULES)}")
    if source == target:
        return np.eye(source)
    if rule == "antialias":
        scale = source / target
        stretch = max(scale, 1.0)
        centre = scale * (np.arange(target) + 0.5)
        taps = np.arange(source)
        # Taps outside the kernel's whole-pixel window are cut, and the rest normalised, as torch
        # and Pillow do.
        low = np.maximum((centre - 2 * stretch + 0.5).astype(int), 0)
        high = np.minimum((centre + 2 * stretch + 0.5).astype(int), source)
        inside = (taps >= low[:, None]) & (taps < high[:, None])
        weights = np.where(inside, _cubic((taps - centre[:, None] + 0.5) / stretch, -0.5), 0.0)
        return weights / weights.sum(1, keepdims=True)
    scale = source / (target + 0.1) if rule == "offset" else source / target
    centre = scale * (np.arange(target) + 0.5) - 0.5
    base = np.floor(centre).astype(int)
    matrix = np.zeros((target, source))
    for tap in range(-1, 3):
        column = np.clip(base + tap, 0, source - 1)
        np.add.at(matrix, (np.arange(target), column), _cubic(centre - (base + tap), -0.75))
    return matrix


def resize_positions(positions: np.ndarray, grid: int, rule: str) -> np.ndarray:
    """Resizes patch positions to a square grid.

    Args:
      positions: ``[patch, dim]`` row-major, a square number of patches, without CLS.
      grid: patches along a side wanted.
      rule: one of :data:`RULES`.

    Returns:
      float32 ``[grid * grid, dim]``.

    Raises:
      ValueError: if the positions are not a square grid.
    """
    side = round(len(positions) ** 0.5)
    if side * side != len(positions):
        raise ValueError(f"{len(positions)} patch positions are not a square grid")
    matrix = cubic_matrix(side, grid, rule)
    square = positions.astype(np.float64).reshape(side, side, -1)
    return (
        np.einsum("ih,hwd,jw->ijd", matrix, square, matrix)
        .reshape(grid * grid, -1)
        .astype(np.float32)
    )
