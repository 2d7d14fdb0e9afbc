"""Pairs a second that a training gets from a release: from its folders, its Zarr store and its shards.

    python benchmarks/reading.py --json

The release is made of simulated pairs of 512 x 512 px, maps of flat colours and textured images. All is in the page
cache, so that what is measured is unpacking: seconds are those of the processor, all threads together. Pairs come from
`open_dataset` in random order, from WebDataset and Hugging Face `datasets` in the order of the shards.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from _machine import report
from release import simulate
from torch.utils.data import DataLoader

from catalog.build import build_release
from catalog.dataset import open_dataset
from catalog.model import About, Contents, Format
from catalog.pairs import SCHEMA
from catalog.shards import ShardFormat, write_shards
from stages.release import join_pairs

SIZE = 512
BATCH = 16
Read = Callable[[], int]


def make_release(folder: Path, count: int) -> Path:
    """Build a release of `count` pairs with folders, Zarr store and shards; return its folder."""
    rng = np.random.default_rng(0)
    tiles, clean, split, rasters = simulate(rng)
    pairs, _ = join_pairs(tiles, clean, split, rasters)
    pairs = pairs.filter(pa.compute.equal(pairs["verdict"], "accepted")).slice(0, count)
    noise = rng.integers(0, 256, (2048, 2048, 3), dtype=np.uint8)
    textured = cv2.GaussianBlur(noise, (0, 0), 1.2)
    height = cv2.GaussianBlur(noise[..., 0].astype(np.float32), (0, 0), 24)
    bands = np.digitize(height, np.quantile(height, np.linspace(0, 1, 24)[1:-1]))
    flat = rng.integers(120, 256, (24, 3), dtype=np.uint8)[bands]
    columns = {"map": [], "visible": []}
    for index in range(count):
        x, y = (index * 61) % (2048 - SIZE), (index * 97) % (2048 - SIZE)
        for side, scene in (("map", flat), ("visible", textured)):
            columns[side].append(f"{side}-{index}.png")
            cv2.imwrite(str(folder / columns[side][-1]), scene[y : y + SIZE, x : x + SIZE])
    first = pa.array(np.zeros(count), pa.int32())
    sources = pa.table([pairs["pair_id"], columns["map"], columns["visible"], first], schema=SCHEMA.sources)
    about = About("MapData", "Simulated.", "1.0", "other", "MapData", "", {"mapdata": "0"}, seed=0)
    release = folder / "release"
    build_release(SCHEMA, Contents(about, pairs, sources, rasters), folder, release, [Format.FOLDERS, Format.ZARR])
    for kind in ShardFormat:
        write_shards(release, folder / kind.value, kind)
    return release


def readers(release: Path) -> dict[str, Read]:
    """Return by name what reads every pair once, and returns how many there were."""

    def loaded(layout: str) -> Read:
        pairs = open_dataset(release, "all", layout, torch.uint8)
        return lambda: sum(len(batch["pair_id"]) for batch in DataLoader(pairs, BATCH, shuffle=True))

    def tars() -> int:
        import webdataset

        shards = sorted(map(str, (release.parent / "webdataset").glob("*.tar")))
        return sum(1 for _ in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))

    def tables() -> int:
        import datasets

        splits = datasets.load_dataset(str(release.parent / "parquet-shards"), streaming=True)
        rows = (row for split in splits.values() for row in split)
        return sum(np.asarray(row["map"]).size == np.asarray(row["visible"]).size for row in rows)

    return {"folders": loaded("folders"), "zarr": loaded("zarr"), "webdataset": tars, "parquet": tables}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=200, help="number of pairs (200)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each layout is read, in turn (3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        release = make_release(Path(folder), arguments.pairs)
        png = [path.stat().st_size for path in release.rglob("*.png")]
        for read in readers(release).values():
            read()
        for _ in range(arguments.rounds):
            for name, read in readers(release).items():
                start = time.process_time()
                count = read()
                seconds.setdefault(name, []).append((time.process_time() - start) / count)
    figures = {f"{name}_pairs_per_cpu_s": round(1 / statistics.median(times), 1) for name, times in seconds.items()}
    figures["zarr_to_folders"] = round(figures["zarr_pairs_per_cpu_s"] / figures["folders_pairs_per_cpu_s"], 2)
    workload = {"pairs": arguments.pairs, "rounds": arguments.rounds, "tile_px": SIZE, "batch": BATCH}
    workload["png_bytes_a_pixel"] = round(statistics.mean(png) / SIZE**2, 2)
    report("reading", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
