"""Image pairs whose ground truth is known, and a reader for SRIF's layout (others: `matcher.benchmark.readers`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from blake3 import blake3

from matcher.errors import InputError
from matcher.images import RGBImage, as_rgb
from raster.homography import Matrix

Subset = Literal["development", "final", "all"]

SRIF_DEVELOPMENT = {"Optical-Map": 8}
SRIF_DEVELOPMENT_OTHERS = 4
"""Number of the last pair of the development part, by kind."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Two RGB images of one scene with their ground truth.

    Attributes:
        name: Unique in its set; seeds random homographies.
        image0: H x W x 3 uint8.
        image1: H x W x 3 uint8, of any size.
        homography: 3 x 3 float64, pixels of image 0 -> pixels of image 1.
    """

    name: str
    image0: RGBImage
    image1: RGBImage
    homography: Matrix


class PairSource(Protocol):
    """A pair on disk: its unique name, and how to read it.

    `footprint` is its ground (WKB polygon, WGS84), None if unknown.
    """

    @property
    def name(self) -> str: ...

    @property
    def footprint(self) -> bytes | None: ...

    def load(self) -> ImagePair:
        """Read both images and the ground truth.

        Raises:
            InputError: Something is missing or cannot be decoded.
        """

    def digests(self) -> tuple[str, str]:
        """Return BLAKE3 digests of the two images' files, hexadecimal."""


@dataclass(frozen=True, eq=False)
class PairFiles:
    """A pair of two image files, and what reads its ground truth."""

    name: str
    path0: Path
    path1: Path
    read_homography: Callable[[], Matrix]
    footprint: bytes | None = None

    def load(self) -> ImagePair:
        """Read both images and the ground truth.

        Raises:
            InputError: A file is missing or is no image.
        """
        return ImagePair(self.name, read_image(self.path0), read_image(self.path1), self.read_homography())

    def digests(self) -> tuple[str, str]:
        """Return BLAKE3 digests of the two files."""
        return blake3(self.path0.read_bytes()).hexdigest(), blake3(self.path1.read_bytes()).hexdigest()


def read_image(path: Path) -> RGBImage:
    """Read a PNG, JPEG, WebP or plain TIFF.

    Args:
        path: The file; samples of 16 bits are stretched to 8, see `matcher.images.as_rgb`.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        InputError: There is no such file, or it is no image that can be decoded; the message names it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    content = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if image is None:
        raise InputError(f"{path}: not an image that can be decoded")
    if image.ndim == 3:  # OpenCV keeps blue first
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return as_rgb(np.ascontiguousarray(image), str(path))


def srif_pairs(folder: Path, subset: Subset = "all") -> list[PairFiles]:
    """List the pairs of one kind in SRIF's layout (Li, Hu and Zhang, ISPRS Journal 204, 2023).

    The files are `pairN_1.*`, `pairN_2.*` and `gt_N.txt`, a 2 x 3 affine matrix from image 1 to image 2.

    Args:
        folder: Folder of the kind.
        subset: "development" holds the pairs that may be looked at while a method is made (Optical-Map 1-8, others
            1-4), "final" the rest, for published figures only.

    Returns:
        The pairs in the order of N; names are "<kind>/<N>".

    Raises:
        InputError: The folder holds no pair, or a pair lacks a file.
    """
    last = SRIF_DEVELOPMENT.get(folder.name, SRIF_DEVELOPMENT_OTHERS)
    numbers = sorted(int(found[1]) for path in folder.glob("gt_*.txt") if (found := re.search(r"gt_(\d+)$", path.stem)))
    if not numbers:
        raise InputError(f"{folder}: no pair in SRIF's layout (gt_N.txt beside pairN_1.* and pairN_2.*)")
    parts = {"development": (True,), "final": (False,), "all": (True, False)}[subset]
    return [_srif_pair(folder, number) for number in numbers if (number <= last) in parts]


def _srif_pair(folder: Path, number: int) -> PairFiles:
    sides = [sorted(folder.glob(f"pair{number}_{side}.*")) for side in (1, 2)]
    if not all(len(found) == 1 for found in sides):
        raise InputError(f"{folder}: pair {number} needs one file pair{number}_1.* and one pair{number}_2.*")
    truth = folder / f"gt_{number}.txt"
    return PairFiles(f"{folder.name}/{number}", sides[0][0], sides[1][0], lambda: _read_affine(truth))


def _read_affine(path: Path) -> Matrix:
    try:
        affine = np.loadtxt(path, dtype=np.float64).reshape(2, 3)
    except ValueError as error:
        raise InputError(f"{path}: not a 2 x 3 affine ({error})") from error
    return np.vstack([affine, [0.0, 0.0, 1.0]])
