"""Aligned pairs, from which training pairs are cut, and the pool on disk that keeps rendered ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from matcher.images import RGBImage
from raster.disk import atomic_path

UNLABELLED = 255
"""Label of a pixel whose semantic class is not known."""


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """Two RGB images of one place, pixel on pixel (H x W x 3 uint8), and the semantic class of each pixel (H x W)."""

    map: RGBImage
    visible: RGBImage
    labels: npt.NDArray[np.uint8]


class ScenePool:
    """Rendered scenes in a folder, one uncompressed array of 7 channels each, which is read through a memory map.

    Scene k depends on the number k alone. Several processes may fill one pool; each file appears whole.
    """

    def __init__(self, folder: Path, render: Callable[[int], AlignedPair]) -> None:
        """Open a pool.

        Args:
            folder: Made if missing; several processes may share it.
            render: Makes the scene of a number, from 0; called for those that are missing.
        """
        self.folder = folder
        self.render = render
        folder.mkdir(parents=True, exist_ok=True)

    def ready(self) -> int:
        """Return how many scenes, counted from 0 without a gap, are there."""
        present = {path.stem for path in self.folder.glob("*.npy")}
        count = 0
        while f"{count:06d}" in present:
            count += 1
        return count

    def fill(self, numbers: Iterable[int]) -> None:
        """Render those of the scenes `numbers` that are missing."""
        for number in numbers:
            if not self._path(number).exists():
                self._store(number, self.render(number))

    def __getitem__(self, number: int) -> AlignedPair:
        """Return a scene; it is rendered first if it is missing or damaged."""
        try:
            layers = np.load(self._path(number), mmap_mode="r")
        except (OSError, ValueError, EOFError):  # missing or damaged
            self._store(number, self.render(number))
            layers = np.load(self._path(number), mmap_mode="r")
        return AlignedPair(layers[..., :3], layers[..., 3:6], layers[..., 6])

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"

    def _store(self, number: int, pair: AlignedPair) -> None:
        with atomic_path(self._path(number)) as temporary:
            np.save(temporary, np.dstack([pair.map, pair.visible, pair.labels]))
