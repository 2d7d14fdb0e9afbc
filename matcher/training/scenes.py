"""Drawn scenes as aligned pairs: OSM extracts and procedural towns, as maps in many styles and as simulated images."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

from cartography.scene import Scene
from cartography.storage import load_scene, save_scene
from cartography.training_scene import Motion, Sampler
from matcher.training.aligned import AlignedPair, ScenePool
from matcher.training.sources import SCENE_SIDE

ALIGNED = Motion(rotation_deg=0, scale=1, shift=0, perspective=0, warp_px=1.5, feature_px=1.5)
"""Motion comes later, on the fly; what is drawn in is only what generalisation does to a map."""

OSM_SHARE = 0.5


def scene_pool(folder: Path, data: Path) -> ScenePool:
    """Open a pool of scenes drawn from the OSM extracts of `data`/osm, where there are any, and procedural towns."""
    sampler = Sampler(size=SCENE_SIDE, motion=ALIGNED, osm=_extracts(folder / "osm", data / "osm"), osm_share=OSM_SHARE)

    def draw(number: int) -> AlignedPair:
        pair = sampler.draw(number)
        return AlignedPair(pair.map, pair.visible, pair.labels)

    return ScenePool(folder, draw)


def fill_pool(folder: Path, data: Path, count: int, processes: int) -> None:
    """Draw the first `count` scenes in several processes; what is there stays."""
    _extracts(folder / "osm", data / "osm")
    context = get_context("spawn")
    workers = [
        context.Process(target=_fill, args=(folder, data, start, count, processes)) for start in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    failed = [worker.exitcode for worker in workers if worker.exitcode]
    if failed:
        raise RuntimeError(f"{folder}: {len(failed)} of {processes} drawing processes failed; their output says why")


def _fill(folder: Path, data: Path, start: int, count: int, step: int) -> None:
    scene_pool(folder, data).fill(start, count, step)


def _extracts(kept: Path, source: Path) -> list[Scene]:
    """Return the scenes of the extracts; they are converted once, so that a training machine needs no OSM reader."""
    kept.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.osm.pbf")):
        if not (kept / f"{path.name}.npz").exists():
            from cartography.osm import read_scene

            save_scene(read_scene(path), kept / f"{path.name}.npz")
    return [load_scene(path) for path in sorted(kept.glob("*.npz"))]
