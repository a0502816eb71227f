"""Face detection with OpenCV's Haar cascade; the only file that knows OpenCV (extra: faces)."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from ferjax.extras import how_to_install
from ferjax.faces.image_files import Finder

__all__ = ["haar_finder"]

CASCADE = "haarcascade_frontalface_default.xml"


def haar_finder(smallest: int = 30) -> Finder:
    """Makes a function that finds frontal faces and may be called from any thread.

    Its boxes are not widened: FER2013's own faces were cut out by OpenCV's detector (Goodfellow et
    al., 2013), so the bare box is what an ensemble trained on them has seen.

    Args:
      smallest: side of the smallest face looked for, pixels.

    Returns:
      ``gray uint8 [H, W] -> [(left, top, width, height), ...]``.

    Raises:
      ValueError: if OpenCV is missing, or is version 5, which has no cascades; says how to install
        it.

    References:
      Viola & Jones, Rapid Object Detection using a Boosted Cascade of Simple Features, 2001.
    """
    how = how_to_install("faces")
    try:
        import cv2
    except ImportError:
        raise ValueError(f"finding faces needs OpenCV, which is not installed: {how}") from None
    opencv: Any = cv2
    if not hasattr(opencv, "CascadeClassifier"):
        raise ValueError(
            f"finding faces needs OpenCV 4; version {opencv.__version__} has no cascades (another "
            f"package may have brought it; uninstall every opencv-python first): {how}"
        )
    file = Path(opencv.data.haarcascades) / CASCADE
    own = threading.local()  # a classifier keeps buffers: one for each thread

    def find(gray: np.ndarray) -> list[tuple[int, int, int, int]]:
        if not hasattr(own, "cascade"):
            own.cascade = opencv.CascadeClassifier(str(file))
        boxes = own.cascade.detectMultiScale(
            gray, scaleFactor=1.1, minNeighbors=6, minSize=(smallest, smallest)
        )
        return [(int(x), int(y), int(w), int(h)) for x, y, w, h in boxes]

    return find
