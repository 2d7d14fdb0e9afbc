"""A picture with corners everywhere, for matchers that need nothing but structure."""

from __future__ import annotations

import cv2
import numpy as np


def scene(size: int = 224, seed: int = 0) -> np.ndarray:
    """Return `size` x `size` x 3 uint8: rectangles of random colours, seen from above."""
    generator = np.random.default_rng(seed)
    image = np.full((size, size, 3), 128, np.uint8)
    for _ in range(60):
        x, y, w, h = generator.integers(0, size, 2).tolist() + generator.integers(8, 60, 2).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), generator.integers(0, 255, 3).tolist(), -1)
    return image
