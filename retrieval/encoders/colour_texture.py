"""Statistics of an image that need no training: colours, oriented gradients and texture of a pyramid of cells.

They are the frozen encoder of the small baseline: of a photograph or an aerial image they keep what materials,
vegetation, water, sky and repeated lines leave in a cell, and forget where exactly it is.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 192
"""Pixels of the square that an image is reduced to."""
_ORIENTATIONS = 8
_HUES = 12
_LEVELS = (1, 2, 4)


def dimensions() -> int:
    """Return the length of a feature vector."""
    cells = sum(level * level for level in _LEVELS)
    return cells * (6 + _ORIENTATIONS + 2 + _HUES)


def describe(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the features of an image.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (`dimensions()`,) float32, each group of unit order of magnitude.
    """
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / np.array([100, 64, 64], np.float32)
    grey: npt.NDArray[np.float32] = np.ascontiguousarray(lab[..., 0], np.float32)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    size = np.hypot(dx, dy)
    turn = (np.arctan2(dy, dx) % np.pi) / np.pi * _ORIENTATIONS
    bins = np.minimum(turn.astype(int), _ORIENTATIONS - 1)
    oriented = np.zeros((SIDE, SIDE, _ORIENTATIONS), np.float32)
    np.put_along_axis(oriented, bins[..., None], size[..., None], axis=2)
    smooth, smoother = (np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32) for sigma in (1.5, 6))
    fine, coarse = np.abs(grey - smooth), np.abs(smooth - smoother)
    hue = (np.arctan2(lab[..., 2], lab[..., 1]) % (2 * np.pi)) / (2 * np.pi) * _HUES
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hues = np.zeros((SIDE, SIDE, _HUES), np.float32)
    np.put_along_axis(hues, np.minimum(hue.astype(int), _HUES - 1)[..., None], chroma[..., None], axis=2)
    maps = np.concatenate([lab, lab**2, oriented, fine[..., None] * 4, coarse[..., None] * 4, hues * 4], axis=2)
    parts = []
    for level in _LEVELS:
        cells = maps.reshape(level, SIDE // level, level, SIDE // level, -1).mean(axis=(1, 3))
        parts.append(cells.reshape(level * level, -1))
    features = np.concatenate(parts)
    spread = np.sqrt(np.maximum(features[:, 3:6] - features[:, :3] ** 2, 0))
    features[:, 3:6] = spread * 2
    orientation = features[:, 6 : 6 + _ORIENTATIONS]
    orientation /= np.linalg.norm(orientation, axis=1, keepdims=True) + 0.02
    return np.asarray(np.sqrt(np.abs(features)) * np.sign(features), np.float32).ravel()


def views(image: npt.NDArray[np.uint8], kind: str, count: int, seed: int) -> list[npt.NDArray[np.uint8]]:
    """Return an image and altered copies of it, for training.

    Args:
        image: (H, W, 3) uint8 RGB.
        kind: "ground" (mirrored, cropped, brighter or darker) or "satellite" (turned by quarters as well).
        count: How many in all.
        seed: Decides the alterations.

    Returns:
        `count` images (H', W', 3) uint8 RGB, the unaltered one first; the others show 72 to 100 % of each side. The
        same arguments give the same images.
    """
    random = np.random.default_rng([seed, len(kind)])
    made = [image]
    for _ in range(count - 1):
        height, width = image.shape[:2]
        share = random.uniform(0.72, 1.0)
        rows, columns = int(height * share), int(width * share)
        top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        view = image[top : top + rows, left : left + columns]
        if random.random() < 0.5:
            view = view[:, ::-1]
        if kind == "satellite":
            view = np.rot90(view, int(random.integers(4)))
        gain = random.uniform(0.8, 1.2) * random.uniform(0.94, 1.06, 3)
        made.append(np.clip(view * gain, 0, 255).astype(np.uint8))
    return made
