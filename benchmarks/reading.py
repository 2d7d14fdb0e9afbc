"""How fast a release is read: pairs a second from folders, Zarr, WebDataset tars and Parquet shards, one process.

    python benchmarks/reading.py --json

The pairs are 512 x 512 px, textured, PNG. Each way is measured on the same pairs, in the manifest's order and, where a
way knows any, at random; the files are warm in the page cache, so that decoding is what is compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from _machine import report
from blake3 import blake3
from release import simulate

from catalog.build import build_release
from catalog.dataset import open_dataset
from catalog.model import About, Contents, Format
from catalog.pairs import SCHEMA
from catalog.shards import ShardFormat, write_shards
from stages.release import join_pairs

PAIRS = 60
ROUNDS = 3


def make_release(folder: Path) -> Path:
    """Build a release of textured pairs with folders and a Zarr store."""
    rng = np.random.default_rng(1)
    tiles, clean, split, rasters = simulate(rng, PAIRS, 1)
    records, _ = join_pairs(tiles, clean, split, rasters)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (4096, 4096, 3), dtype=np.uint8), (0, 0), 1.5)
    files: dict[str, list[str]] = {"map": [], "visible": []}
    digests: dict[str, list[str]] = {"map": [], "visible": []}
    for index in range(PAIRS):
        for number, side in enumerate(files):
            x, y = (index * 61 + number * 977) % 3584, (index * 97) % 3584
            content = cv2.imencode(".png", scene[y : y + 512, x : x + 512])[1].tobytes()
            name = f"{side}-{index}.png"
            (folder / name).write_bytes(content)
            files[side].append(name)
            digests[side].append(blake3(content).hexdigest())
    given = {
        "split": pa.array(["train"] * PAIRS),
        "verdict": pa.array(["accepted"] * PAIRS),
        "reasons": pa.array([[]] * PAIRS, pa.list_(pa.string())),
        **{f"{side}_digest": pa.array(values) for side, values in digests.items()},
    }
    for name, values in given.items():
        records = records.set_column(records.column_names.index(name), name, values)
    index = pa.array([0] * PAIRS, pa.int32())
    sources = pa.table([records["pair_id"], files["map"], files["visible"], index], names=SCHEMA.sources.names)
    about = About("MapData", "Simulated.", "1.0", "other", "MapData", "", {"mapdata": "0"}, seed=0)
    contents = Contents(about, records, sources, rasters)
    build_release(SCHEMA, contents, folder, folder / "release", [Format.FOLDERS, Format.ZARR])
    return folder / "release"


def rate(pairs: Iterable[Any]) -> float:
    """Return how many pairs a second an iterable gives."""
    start = time.perf_counter()
    count = sum(1 for _ in pairs)
    return count / (time.perf_counter() - start)


def from_webdataset(folder: Path) -> Iterator[Any]:
    """Yield the pairs of tar shards as tensors."""
    import webdataset

    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    yield from webdataset.WebDataset(shards, shardshuffle=False).decode("torchrgb8")


def from_parquet(folder: Path, cache: Path) -> Iterator[Any]:
    """Yield the pairs of Parquet shards as arrays."""
    import datasets

    loaded = datasets.load_dataset(str(folder), split="train", streaming=True, cache_dir=str(cache))
    for row in loaded:
        yield np.asarray(row["map"]), np.asarray(row["visible"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = make_release(folder)
        for kind in ShardFormat:
            write_shards(release, folder / kind, kind)
        opened = {layout: open_dataset(release, layout=layout, dtype=torch.uint8) for layout in ("folders", "zarr")}
        order = np.random.default_rng(0).permutation(PAIRS).tolist()
        # In turn, so that what else the machine does meets all ways alike.
        for _ in range(ROUNDS):
            for layout, dataset in opened.items():
                rates.setdefault(layout, []).append(rate(dataset[index] for index in range(PAIRS)))
                rates.setdefault(f"{layout}_shuffled", []).append(rate(dataset[index] for index in order))
            rates.setdefault("webdataset", []).append(rate(from_webdataset(folder / ShardFormat.WEBDATASET)))
            shards = from_parquet(folder / ShardFormat.PARQUET, folder / "cache")
            rates.setdefault("parquet_shards", []).append(rate(shards))
    figures = {f"{way}_pairs_per_s": round(max(values), 1) for way, values in rates.items()}
    figures["zarr_over_folders"] = round(max(rates["zarr_shuffled"]) / max(rates["folders_shuffled"]), 2)
    workload = {"pairs": PAIRS, "rounds": ROUNDS, "of_rounds": "best", "tile_px": 512, "processes": 1, "threads": 1}
    report("reading", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
