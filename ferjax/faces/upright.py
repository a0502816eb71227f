"""Any open picture as 8 bits, gray or in colour: turned as its file says, on white, deep values
scaled."""

import numpy as np
from PIL import Image

__all__ = ["flat", "upright"]

_BAND = 2**22
"""Pixels that are converted at once: Pillow's conversions hold several copies."""

_ORIENTATION = 0x0112
_MAX_SAMPLE_VALUE = 281
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _eight_bits(values: np.ndarray, bits: int | None = None) -> tuple[np.ndarray, str]:
    """Deep gray ``[H, W]`` to uint8, and a note where the range had to be found out.

    The range of whole numbers is 16 bits, unless the file says how many of them count or no value
    exceeds 8 or 12 bits, as cameras and scanners write; of others it is [0, 1] or [0, 255]. Where
    the values exceed it, it is theirs.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds pixels that are not finite")
    low = float(values.min())
    high = float(values.max())
    note = ""
    if values.dtype.kind in "iu":
        if low >= 0 and high <= 65535:
            found = next(b for b in (8, 12, 16) if high < 2**b) if bits is None else bits
            if bits is None and found < 16 and high > 0:
                note = f"16-bit picture whose values have {found} bits: read as {found}-bit"
            low = 0.0
            high = float(2 ** (found if high < 2**found else 16) - 1)
    elif low >= 0 and high <= 255:
        low = 0.0
        high = 1.0 if high <= 1 else 255.0
    scaled = (values.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.round(255 * scaled).astype(np.uint8), note


def _significant_bits(picture: Image.Image) -> int | None:
    """How many bits of a deep gray picture count, where its file says so (PNG sBIT, TIFF)."""
    if picture.format == "TIFF":
        largest = getattr(picture, "tag_v2", {}).get(_MAX_SAMPLE_VALUE)
        value = largest[0] if isinstance(largest, tuple) and largest else largest
        return next((b for b in (8, 12, 16) if value == 2**b - 1), None)
    if picture.format != "PNG" or not getattr(picture, "filename", ""):
        return None
    with open(picture.filename, "rb") as file:  # type: ignore[attr-defined]
        head = file.read(4096)
    at = head.find(b"sBIT")
    bits = head[at + 4] if 0 < at < len(head) - 4 else 0
    return bits if bits in (8, 12, 16) else None


def _deep(picture: Image.Image) -> bool:
    return picture.mode.startswith("I") or picture.mode == "F"


def upright(picture: Image.Image, mode: str) -> tuple[Image.Image, str]:
    """8-bit picture of ``mode`` "L" or "RGB", turned as its EXIF says, and a note or "".

    It is on white where it is transparent; an animation is its first frame.
    """
    picture.load()
    note = ""
    if _deep(picture):
        # Pillow would clip these modes to 8 bits.
        gray, note = _eight_bits(np.asarray(picture), _significant_bits(picture))
        in_mode = Image.fromarray(gray).convert(mode)
    else:
        in_mode = flat(picture, mode)
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse a good picture
        orientation = 1
    return (in_mode.transpose(_TURNS[orientation]) if orientation in _TURNS else in_mode), note


def flat(picture: Image.Image, mode: str) -> Image.Image:
    """A picture in that mode, on white where it is transparent; a large one band by band."""
    width, height = picture.size
    if width * height <= _BAND:
        return _converted(picture, mode)
    whole = Image.new(mode, picture.size)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height)))
        band.info = picture.info  # where a palette's transparency is
        whole.paste(_converted(band, mode), (0, top))
    return whole


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert(mode)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)
