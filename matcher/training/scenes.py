"""Drawn scenes as aligned pairs: OSM extracts and procedural towns, as maps in many styles and as simulated images."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree

import cv2
import numpy as np

from cartography.scene import Scene
from cartography.storage import load_scene, save_scene
from cartography.training_scene import PairSampler, TransformationRange
from matcher.training.aligned import AlignedPair, ScenePool
from matcher.training.sources import SCENE_SIDE, PseudoSource

ALIGNED = TransformationRange(rotation_deg=0, scale=1, shift=0, perspective=0, warp_px=1.5, feature_px=1.5)
"""The trainer applies transformations later; these scenes hold only the shifts of cartographic generalisation."""

OSM_SHARE = 0.5

CROPS, CROP_SIDE = 48, 256
"""Pieces of real imagery that lend drawn surfaces their grain."""


def scene_pool(folder: Path, data: Path, real_textures: bool = False) -> ScenePool:
    """Open a pool of scenes drawn from the OSM extracts of `data`/osm, where there are any, and procedural towns; with
    `real_textures`, half of their images have the grain of the imagery in `data`/tiles that training may use.
    """
    photographs = _crops(folder / "photographs", data / "tiles") if real_textures else None
    extracts = _extracts(folder / "osm", data / "osm")
    sampler = PairSampler(
        size=SCENE_SIDE, transformation=ALIGNED, osm=extracts, osm_share=OSM_SHARE, photographs=photographs
    )

    def draw(number: int) -> AlignedPair:
        pair = sampler.sample(number)
        return AlignedPair(pair.map, pair.visible, pair.labels)

    return ScenePool(folder, draw)


def fill_pool(folder: Path, data: Path, count: int, processes: int, real_textures: bool = False) -> None:
    """Draw the first `count` scenes in several processes; what is there stays."""
    scene_pool(folder, data, real_textures)  # what all processes share is made before they begin
    context = get_context("spawn")
    workers = [
        context.Process(target=_fill, args=(folder, data, real_textures, range(start, count, processes)))
        for start in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    failed = [worker.exitcode for worker in workers if worker.exitcode]
    if failed:
        raise RuntimeError(f"{folder}: {len(failed)} of {processes} drawing processes failed; their output says why")


def _fill(folder: Path, data: Path, real_textures: bool, numbers: range) -> None:
    scene_pool(folder, data, real_textures).fill(numbers.start, numbers.stop, numbers.step)


def _crops(kept: Path, tiles: Path) -> Path:
    """Return the folder of pieces of imagery; they are cut once, all or none."""
    if not kept.is_dir():
        source, rng = PseudoSource.swiss(tiles), np.random.default_rng(0)
        begun = kept.with_suffix(".partial")
        rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        for number in range(CROPS):
            cv2.imwrite(str(begun / f"{number:03d}.png"), source.image(CROP_SIDE, rng)[..., ::-1])
        begun.replace(kept)
    return kept


def _extracts(kept: Path, source: Path) -> list[Scene]:
    """Return the scenes of the extracts; they are converted once, so that a training machine needs no OSM reader."""
    kept.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.osm.pbf")):
        if not (kept / f"{path.name}.npz").exists():
            from cartography.osm import read_scene

            save_scene(read_scene(path), kept / f"{path.name}.npz")
    return [load_scene(path) for path in sorted(kept.glob("*.npz"))]
