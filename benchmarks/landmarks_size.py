"""What a dataset of landmarks of full size costs beside its collection: plan, status, split, release, verify.

`python benchmarks/landmarks_size.py [--landmarks 18557] [--json]`. The workspace of a finished collection is made up:
real tables of all stages, real files (tiny pictures, hard links to a few), a real ledger. The commands then run on it,
each in a process of its own: seconds of the processor, of the clock, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from _machine import report

from mapdata.recipes import load_recipe
from pipeline.files import digest_bytes, digest_file
from pipeline.ledger import Ledger
from pipeline.stage import Output, Result, RunView, Unit
from pipeline.workspace import Workspace
from stages.landmarks.ground import REFUSED
from stages.landmarks.tables import IMAGES, LANDMARKS, REJECTED, TEXTS, short_id

LANDMARKS_, GROUND, AERIAL = 18_557, 329_000, 197_000
BODIES = 64
"""Different pictures; a file may have some 65,000 links."""


def config(landmarks: int) -> dict[str, Any]:
    """Return the configuration of the run that is made up."""
    simulated = {"kind": "simulated", "world": 1}
    stages = {
        "select": {"sources": {"all": {**simulated, "landmarks": landmarks}}},
        "resolve": {"source": {"kind": "given"}},
        "ground": {"source": simulated},
        "text": {"source": simulated},
        "aerial": {"source": simulated},
        "index": {"source": simulated, "points": 0},
        "split": {"query_share": 0.054},
        "release": {"title": "Landmarks of full size"},
    }
    return {"recipe": "landmarks", "name": "full-size", "seed": 1, "stages": stages}


class Maker:
    """Makes up what each unit would have written."""

    def __init__(self, root: Path, landmarks: int) -> None:
        self.root, self.landmarks = root, landmarks
        self.random = np.random.default_rng(1)
        (root / "bodies").mkdir(parents=True)
        self.bodies = []
        for n in range(BODIES):
            pixels = self.random.integers(0, 255, (32, 32, 3), np.uint8)
            body = cv2.imencode(".jpg", pixels)[1].tobytes()
            path = root / "bodies" / f"{n}.jpg"
            path.write_bytes(body)
            self.bodies.append((path, len(body), digest_bytes(body)))

    def result(self, unit: Unit) -> Result:
        """Return what a unit of a stage before `split` made."""
        outputs = list(getattr(self, f"_{unit.stage}")(unit))
        return Result(tuple(outputs), {"made": len(outputs)})

    def _select(self, unit: Unit) -> Iterator[Output]:
        rows = []
        for n in range(self.landmarks):
            lon, lat = -120 + 50 * self.random.random(), 30 + 17 * self.random.random()
            rows.append(
                {
                    "landmark_id": short_id("size", n), "name": f"Landmark {n}", "qid": f"Q{n + 1}",
                    "osm_type": "synthetic", "osm_id": n, "wikipedia": f"en:Landmark {n}",
                    "commons_category": f"Landmark {n}", "category": "tower", "state": f"State {n % 50}",
                    "hierarchical_category": "structure/tower", "lon": lon, "lat": lat, "min_lon": lon - 1e-3,
                    "min_lat": lat - 1e-3, "max_lon": lon + 1e-3, "max_lat": lat + 1e-3, "edge_m": 200.0,
                    "licence": "ODbL-1.0", "attribution": "x", "places": [],
                }
            )  # fmt: skip
        rows.sort(key=lambda row: str(row["landmark_id"]))
        folder = self.root / "landmarks" / "select" / unit.name
        yield self._table(folder / "candidates.parquet", rows, LANDMARKS)
        yield self._table(folder / "rejected.parquet", [], REJECTED)

    def _resolve(self, unit: Unit) -> Iterator[Output]:
        folder = self.root / "landmarks" / "resolve" / unit.name
        yield self._table(folder / "landmarks.parquet", unit.payload["candidates"], LANDMARKS)
        yield self._table(folder / "rejected.parquet", [], REJECTED)

    def _text(self, unit: Unit) -> Iterator[Output]:
        rows = [
            {
                "landmark_id": row["landmark_id"], "language": "en", "title": row["name"],
                "sections": json.dumps({"": "It is a tower. " * 40, "History": "It was built long ago. " * 60}),
                "sentence": "It is a tower.", "revision": "1", "licence": "CC-BY-SA-4.0", "attribution": "Contributors",
                "source_url": "https://en.wikipedia.org/wiki/X",
            }
            for row in unit.payload["landmarks"]
        ]  # fmt: skip
        yield self._table(self.root / "landmarks" / "text" / unit.name / "texts.parquet", rows, TEXTS)

    def _ground(self, unit: Unit) -> Iterator[Output]:
        yield from self._images(unit, "ground", GROUND / LANDMARKS_)

    def _aerial(self, unit: Unit) -> Iterator[Output]:
        yield from self._images(unit, "aerial", AERIAL / LANDMARKS_)

    def _images(self, unit: Unit, modality: str, mean: float) -> Iterator[Output]:
        folder = self.root / "landmarks" / modality / unit.name[:2] / unit.name
        folder.mkdir(parents=True)
        count = int(mean) + int(self.random.random() < mean - int(mean))
        rows = []
        for n in range(count):
            source, size, digest = self.bodies[self.random.integers(BODIES)]
            identity = short_id(modality, unit.name, n)
            path = folder / f"{identity}.jpg"
            os.link(source, path)
            aerial = modality == "aerial"
            rows.append(
                {
                    "image_id": identity, "landmark_id": unit.name, "modality": modality,
                    "path": path.relative_to(self.root).as_posix(), "digest": digest, "bytes": size, "width": 32,
                    "height": 32, "lon": unit.payload["lon"] if aerial else None,
                    "lat": unit.payload["lat"] if aerial else None, "ground_m": 480.0 if aerial else None,
                    "year": 2003 + n if aerial else None, "date": "2011-05-04", "items": [f"item-{unit.name}-{n}"],
                    "title": "" if aerial else f"A photograph {n} of {unit.payload['name']}",
                    "author": "" if aerial else f"Photographer {n * 7919 % 5000}",
                    "licence": "Public-Domain" if aerial else "CC-BY-SA-4.0",
                    "licence_url": "https://creativecommons.org/licenses/by-sa/4.0", "attribution": "Somebody",
                    "source_url": f"https://upload.wikimedia.org/wikipedia/commons/{identity}.jpg",
                    "page_url": f"https://commons.wikimedia.org/wiki/File:{identity}.jpg", "sha1": "0" * 40,
                    "hash": int(self.random.integers(1, 2**63)), "flags": [],
                }
            )  # fmt: skip
            yield Output(path.relative_to(self.root).as_posix(), size, digest, path.stat().st_mtime_ns)
        rows.sort(key=lambda row: str(row["image_id"]))
        yield self._table(folder / "images.parquet", rows, IMAGES)
        if modality == "ground":
            refused = [
                {"landmark_id": unit.name, "name": f"File:{n}.jpg", "page_url": "", "reason": "its licence is unknown"}
                for n in range(3)
            ]
            yield self._table(folder / "refused.parquet", refused, REFUSED)

    def _table(self, path: Path, rows: Sequence[Any], schema: pa.Schema) -> Output:
        # Not synced: the collection is not what is measured.
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows), schema), path, compression="zstd")
        made = path.stat()
        return Output(path.relative_to(self.root).as_posix(), made.st_size, digest_file(path), made.st_mtime_ns)


def make_up(path: Path, root: Path, landmarks: int) -> dict[str, int]:
    """Write the workspace of a finished collection; return how many images it has of each kind."""
    loaded = load_recipe(path)
    place = Workspace(root, create=True)
    maker = Maker(root, landmarks)
    counts = {}
    with place.lock("benchmark"), Ledger(place.ledger) as ledger:
        ledger.set_stages([stage.name for stage in loaded.stages])
        results: dict[str, dict[str, Result]] = {}
        for stage in loaded.stages:
            if stage.name == "split":
                break
            units = list(stage.plan(RunView(root, loaded.seed, results).of(stage)))
            ledger.replan(stage.name, units, units)
            ledger.start(units)
            made = {unit.name: maker.result(unit) for unit in units}
            for unit in units:
                ledger.finish(unit, made[unit.name], "benchmark")
            results[stage.name] = ledger.results(stage.name)
            counts[stage.name] = sum(entry.path.endswith(".jpg") for one in made.values() for entry in one.outputs)
    return {"ground": counts["ground"], "aerial": counts["aerial"]}


def command(name: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run a command of the program and return what it took. Raises SystemExit if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, "-m", "mapdata", *arguments], stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            output.seek(0)
            raise SystemExit(f"{name} failed: {output.read().decode()[-3000:]}")
    return {
        f"{name}_processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        f"{name}_seconds": round(time.perf_counter() - started, 1),
        f"{name}_peak_mib": round(usage.ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landmarks", type=int, default=LANDMARKS_)
    parser.add_argument("--folder", type=Path, help="Where the workspace is made; default: a temporary folder.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path, root = Path(folder) / "config.yaml", Path(folder) / "work"
        path.write_text(yaml.safe_dump(config(arguments.landmarks)), encoding="utf-8")
        counts = make_up(path, root, arguments.landmarks)
        where = ["--workspace", str(root)]
        run = ["run", str(path), *where, "--workers", "0", "--only"]
        figures: dict[str, Any] = {}
        figures |= command("plan", ["plan", str(path), *where, "--json"])
        figures |= command("split", [*run, "split"])
        figures |= command("release", [*run, "release"])
        figures |= command("status", ["status", *where, "--json"])
        figures |= command("verify", ["verify", *where, "--json"])
        figures["page_mib"] = round((root / "release-page" / "index.html").stat().st_size / 2**20, 1)
        figures["release_files"] = sum(len(files) for _, _, files in os.walk(root / "release"))
    workload = {"landmarks": arguments.landmarks, **counts}
    report("landmarks_size", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
