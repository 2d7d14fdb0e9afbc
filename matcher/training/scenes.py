"""Synthetic scenes as aligned pairs: OSM extracts and procedural towns, rendered as maps and as simulated images."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree

import cv2
import numpy as np

from cartography.scene import Scene
from cartography.storage import load_scene, save_scene
from cartography.training_scene import PairSampler, TransformationRange
from matcher.training.aligned import AlignedPair, ScenePool
from matcher.training.config import SyntheticScenes
from matcher.training.sources import SCENE_SIDE, PseudoSource
from matcher.training.tiles import read_mosaic

ALIGNED = TransformationRange(rotation_deg=0, scale=1, shift=0, perspective=0, warp_px=1.5, feature_px=1.5)
"""The trainer applies transformations later; these scenes hold only the shifts of cartographic generalisation."""

OSM_SHARE = 0.5
"""Share of the scenes that come from OSM extracts, where there are any."""

TEXTURE_CROPS, TEXTURE_SIDE = 48, 256
"""Windows of real imagery, and their side in pixels, that give simulated images their texture."""


def scene_pool(scenes: SyntheticScenes) -> ScenePool:
    """Open the pool of synthetic scenes that a configuration describes; missing scenes are rendered when they are read.

    OSM extracts and textures are converted once, into the folder of the scenes.
    """
    photographs = _textures(scenes) if scenes.textures else None
    extracts = _extracts(scenes.folder / "osm", scenes.osm) if scenes.osm else []
    sampler = PairSampler(
        size=SCENE_SIDE, transformation=ALIGNED, osm=extracts, osm_share=OSM_SHARE, photographs=photographs
    )

    def render(number: int) -> AlignedPair:
        pair = sampler.sample(number)
        return AlignedPair(pair.map, pair.visible, pair.labels)

    return ScenePool(scenes.folder, render)


def fill_pool(scenes: SyntheticScenes) -> ScenePool:
    """Render the scenes that are missing, in one process a core, and return the pool.

    Raises:
        RuntimeError: A process failed.
    """
    pool = scene_pool(scenes)  # What all processes share is converted before they start.
    context, processes = get_context("spawn"), os.cpu_count() or 1
    workers = [
        context.Process(target=_fill, args=(scenes, range(start, scenes.count, processes)))
        for start in range(processes if pool.ready() < scenes.count else 0)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    failed = [worker.exitcode for worker in workers if worker.exitcode]
    if failed:
        raise RuntimeError(
            f"{scenes.folder}: {len(failed)} of {processes} rendering processes failed; their output says why"
        )
    return pool


def _fill(scenes: SyntheticScenes, numbers: range) -> None:
    scene_pool(scenes).fill(numbers)


def _textures(scenes: SyntheticScenes) -> Path:
    """Return the folder of windows of imagery; they are cut once, all of them or none."""
    folder = scenes.folder / "photographs"
    if not folder.is_dir():
        source = PseudoSource([read_mosaic(tiles, imagery=True) for tiles in scenes.textures])
        rng = np.random.default_rng(0)
        partial = folder.with_suffix(".partial")
        rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for number in range(TEXTURE_CROPS):
            cv2.imwrite(str(partial / f"{number:03d}.png"), source.image(TEXTURE_SIDE, rng)[..., ::-1])
        partial.replace(folder)
    return folder


def _extracts(converted: Path, source: Path) -> list[Scene]:
    """Return the scenes of the OSM extracts, which are converted once: reading an extract takes much longer."""
    converted.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.osm.pbf")):
        if not (converted / f"{path.name}.npz").exists():
            from cartography.osm import read_scene

            save_scene(read_scene(path), converted / f"{path.name}.npz")
    return [load_scene(path) for path in sorted(converted.glob("*.npz"))]
