"""Drawn images for tests of matching: structure of many orientations, without any file."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def drawing(seed: int, height: int = 256, width: int = 320) -> np.ndarray:
    """Streets, blocks and fields at random: structure of many orientations."""
    generator = np.random.default_rng(seed)
    image = np.full((height, width, 3), 235, np.uint8)
    for _ in range(60):
        box = cv2.boxPoints(
            (generator.uniform(0, width, 2).tolist(), generator.uniform(8, 50, 2).tolist(), generator.uniform(0, 180))
        )
        cv2.fillPoly(image, [np.rint(box).astype(np.int32)], generator.integers(0, 255, 3).tolist())
    for _ in range(12):
        ends = generator.uniform(0, (width, height), (2, 2)).astype(int).tolist()
        cv2.line(image, ends[0], ends[1], generator.integers(0, 255, 3).tolist(), int(generator.integers(2, 6)))
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
