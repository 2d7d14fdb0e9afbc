"""What shape a landmark has, seen from above and from the ground, as numbers that need no training.

From above a landmark stands in the centre and is turned by any angle: on rings about the centre, brightness, colour and
edges are developed in harmonics of the angle, whose magnitudes do not change when the image is turned. From the ground
it stands upright: edges are counted by orientation in a grid of cells (Dalal and Triggs, CVPR 2005), and the outline
against the sky is followed column by column.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

_SIDE = 128
_SPANS = (0.3, 0.7)
"""Shares of an aerial image's side that are looked at, one after the other."""
_RINGS, _ANGLES, _HARMONICS = 12, 64, 8
_CELLS, _ORIENTATIONS = 8, 6
_COLUMNS = 24


def from_above(image: Image) -> Features:
    """Return the harmonics of an aerial image (H, W, 3) about its centre."""
    return np.concatenate([_harmonics(_centre(image, span)) for span in _SPANS])


def from_the_ground(image: Image) -> Features:
    """Return the edges and the outline of a photograph (H, W, 3)."""
    small = np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32) / 255
    grey = np.ascontiguousarray(small.mean(axis=2))
    return np.concatenate([_edges(grey), _outline(grey)])


def _centre(image: Image, span: float) -> Features:
    height, width = image.shape[:2]
    side = max(2, round(min(height, width) * span))
    top, left = (height - side) // 2, (width - side) // 2
    crop = image[top : top + side, left : left + side]
    small = np.asarray(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(small / 255, np.float32)


def _harmonics(crop: Features) -> Features:
    lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB) / np.array([100, 50, 50], np.float32)
    grey: Features = np.ascontiguousarray(lab[..., 0], np.float32)
    dx, dy = cv2.Scharr(grey, cv2.CV_32F, 1, 0) / 16, cv2.Scharr(grey, cv2.CV_32F, 0, 1) / 16
    y, x = (np.mgrid[:_SIDE, :_SIDE] - (_SIDE - 1) / 2).astype(np.float32)
    radius = np.hypot(x, y) + 1e-3
    along, across = np.abs(dx * x + dy * y) / radius, np.abs(dy * x - dx * y) / radius
    maps = np.dstack([lab, along * 4, across * 4])
    size, middle = (_RINGS, _ANGLES), ((_SIDE - 1) / 2, (_SIDE - 1) / 2)
    rings = np.dstack(
        [
            cv2.warpPolar(cv2.blur(maps[..., n], (3, 3)), size, middle, _SIDE / 2, cv2.INTER_AREA)
            for n in range(maps.shape[2])
        ]
    )
    waves = np.abs(np.fft.rfft(rings, axis=0))[: _HARMONICS + 1] / _ANGLES
    return np.asarray(np.sqrt(waves), np.float32).ravel()


def _edges(grey: Features) -> Features:
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    size = np.hypot(dx, dy)
    turn = np.minimum(
        ((np.arctan2(dy, dx) + np.pi / 12) % np.pi / np.pi * _ORIENTATIONS).astype(int), _ORIENTATIONS - 1
    )
    oriented = np.zeros((_SIDE, _SIDE, _ORIENTATIONS), np.float32)
    np.put_along_axis(oriented, turn[..., None], size[..., None], axis=2)
    step = _SIDE // _CELLS
    cells = oriented.reshape(_CELLS, step, _CELLS, step, _ORIENTATIONS).mean(axis=(1, 3))
    return np.asarray(np.sqrt(cells / (np.linalg.norm(cells) + 0.05)), np.float32).ravel()


def _outline(grey: Features) -> Features:
    """Return how far down the first strong edge is in each of some columns, sorted from the middle outwards by pairs.

    The two columns of a pair lie as far left as right of the tallest one; their mean and difference do not change when
    the photograph is mirrored.
    """
    strong = np.abs(cv2.Sobel(cv2.GaussianBlur(grey, (0, 0), 1.2), cv2.CV_32F, 0, 1)) > 0.25
    first = np.where(strong.any(axis=0), strong.argmax(axis=0), _SIDE) / _SIDE
    width = _SIDE // _COLUMNS
    tops = np.median(first[: width * _COLUMNS].reshape(_COLUMNS, width), axis=1)
    middle = int(np.argmin(tops))
    pairs = [(tops[max(middle - n, 0)], tops[min(middle + n, _COLUMNS - 1)]) for n in range(_COLUMNS // 2)]
    values = np.array([[(a + b) / 2, abs(a - b)] for a, b in pairs])
    return np.asarray(np.concatenate([values.ravel(), np.sort(tops)]), np.float32)
