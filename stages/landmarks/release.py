"""Stage `release`: the tables of the run and its images -> one release folder (see `catalog.build`).

Inputs: the tables of all earlier stages and the images. Output: `release/`: the images as links, `manifest.parquet`
with a row an image, `landmarks.parquet`, `texts.parquet`, a STAC catalog with an item a landmark, the card, Croissant
metadata and checksums; and `release-page/index.html`, a page to look at it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pydantic import BaseModel, ConfigDict, Field

from catalog.errors import CatalogError
from catalog.landmarks import SCHEMA
from catalog.landmarks.model import Landmark
from catalog.model import MANIFEST_NAME, About, Benchmark, Contents, Format
from pipeline.errors import PermanentError
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.landmarks.split import SPLIT_IMAGES, SPLIT_LANDMARKS
from stages.landmarks.tables import IMAGES, LANDMARKS, TEXTS, outputs_named
from stages.tables import read_tables

FOLDER = "release"
_FORMATS = (Format.FOLDERS, Format.STAC)
_TABLES = {
    "landmarks": ("resolve", "landmarks.parquet"),
    "texts": ("text", "texts.parquet"),
    "ground": ("ground", "images.parquet"),
    "aerial": ("aerial", "images.parquet"),
    "index": ("index", "images.parquet"),
    "split_landmarks": ("split", "landmarks.parquet"),
    "split_images": ("split", "images.parquet"),
}
_METRES_A_DEGREE = 111_195.0


class ReleaseParams(BaseModel):
    """What the release says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field("Landmarks", description="Name of the dataset.")
    description: str = Field(
        "Landmarks with photographs from the ground, aerial images of several years, texts and coordinates.",
        description="A sentence or two for the card and the catalog.",
    )
    version: str = Field("1.0.0", description="Version of the dataset, not of the software.")
    licence: str = Field(
        "other", pattern=r"^[\w\-.+]+$", description="SPDX identifier of the whole; `other`: each image has its own."
    )
    creator: str = Field("MapData", description="Who publishes it.")
    url: str = Field("", description="Page of the dataset; empty if it has none.")


class ReleaseStage(Stage[ReleaseParams]):
    """Write the release: one unit, `release`."""

    name: ClassVar[str] = "release"
    version: ClassVar[int] = 2
    Params: ClassVar[type[BaseModel]] = ReleaseParams
    reads: ClassVar[tuple[str, ...]] = ("resolve", "ground", "text", "aerial", "index", "split")

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        found = {name: outputs_named(run.read(stage), file) for name, (stage, file) in _TABLES.items()}
        tables = {name: [entry.path for entry in entries] for name, entries in found.items()}
        digests = [entry.digest for entries in found.values() for entry in entries]
        return [self.unit("release", {"seed": run.seed, "tables": tables}, digests)]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Build the release. Raises PermanentError if the tables and images contradict each other."""
        from catalog.build import build_release  # brings Zarr and more, which planning does without
        from stages.landmarks.page import write_page

        tables = Tables.read(workspace, unit.payload["tables"])
        landmarks = tables.landmark_objects()
        records, sources = tables.records()
        if not landmarks:
            raise PermanentError("not one landmark is left to publish: nothing was published; see the stages before")
        about = About(
            title=self.params.title,
            description=self.params.description,
            version=self.params.version,
            licence=self.params.licence,
            creator=self.params.creator,
            url=self.params.url,
            software={"mapdata": version("mapdata")},
            seed=unit.payload["seed"],
            benchmark=Benchmark(split="query"),
        )
        target = workspace / FOLDER
        images = pc.sum(pc.equal(records["verdict"], "accepted")).as_py() or 0
        try:
            build_release(SCHEMA, Contents(about, records, sources, landmarks), workspace, target, _FORMATS)
        except CatalogError as error:
            raise PermanentError(str(error)) from error
        page = workspace / "release-page" / "index.html"
        write_page(page, target, self.params.title, landmarks)
        made = (output(workspace, target / MANIFEST_NAME), output(workspace, page))
        said = f"{len(landmarks):,} landmarks, {images:,} images, in {FOLDER}/"
        return Result(made, {"seed": unit.payload["seed"], "landmarks": len(landmarks), "said": said})

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit; images are links."""
        count = before["resolve"].propagated.get("landmarks", 0) if "resolve" in before else 0
        return Estimate(1, seconds=2 + count * 0.02)


class Tables:
    """The tables of a run, joined."""

    def __init__(self, landmarks: pa.Table, texts: pa.Table, images: pa.Table) -> None:
        """Take the joined tables.

        Args:
            landmarks: `LANDMARKS` with `split`, null for one that is left out.
            texts: `TEXTS`, one a landmark.
            images: `IMAGES` with `split`, `verdict` and `reasons`.
        """
        self.landmarks, self.texts, self.images = landmarks, texts, images

    @classmethod
    def read(cls, workspace: Path, paths: Mapping[str, Sequence[str]]) -> Tables:
        """Read and join. Raises PermanentError naming a table that cannot be read."""
        schemas = {
            "landmarks": LANDMARKS, "texts": TEXTS, "ground": IMAGES, "aerial": IMAGES, "index": IMAGES,
            "split_landmarks": SPLIT_LANDMARKS, "split_images": SPLIT_IMAGES,
        }  # fmt: skip
        read = {
            name: read_tables([workspace / path for path in paths[name]], schema) for name, schema in schemas.items()
        }
        landmarks = read["landmarks"].join(read["split_landmarks"].select(["landmark_id", "split"]), "landmark_id")
        images = pa.concat_tables([read["ground"], read["aerial"], read["index"]])
        # A join cannot carry lists; positions can be joined instead.
        position = pc.index_in(images["image_id"], read["split_images"]["image_id"])
        judged = read["split_images"].take(position)
        for name in ("split", "verdict", "reasons"):
            images = images.append_column(name, judged[name])
        texts = read["texts"].filter(pc.equal(read["texts"]["language"], "en"))
        return cls(landmarks.sort_by("landmark_id"), texts.sort_by("landmark_id"), images.sort_by("image_id"))

    def kept(self) -> list[dict[str, Any]]:
        """Return the rows of the landmarks that take part."""
        rows: list[dict[str, Any]] = self.landmarks.filter(pc.is_valid(self.landmarks["split"])).to_pylist()
        return rows

    def landmark_objects(self) -> list[Landmark]:
        """Return the landmarks that take part."""
        texts = {row["landmark_id"]: row for row in self.texts.to_pylist()}
        return [_landmark(row, texts[row["landmark_id"]]) for row in self.kept()]

    def records(self) -> tuple[pa.Table, pa.Table]:
        """Return what the catalog wants: the table of images and the table of sources."""
        boxes = {row["landmark_id"]: _box(row) for row in self.landmarks.to_pylist()}
        rows = self.images.to_pylist()
        rejected = [row["verdict"] == "rejected" for row in rows]
        records = {
            "image_id": [row["image_id"] for row in rows],
            "landmark_id": [row["landmark_id"] or row["image_id"] for row in rows],
            "modality": ["satellite" if row["modality"] == "aerial" else "ground" for row in rows],
            "distractor": [row["landmark_id"] is None for row in rows],
            "split": [None if out else row["split"] for row, out in zip(rows, rejected, strict=True)],
            "verdict": [row["verdict"] for row in rows],
            "reasons": [row["reasons"] for row in rows],
            "format": ["jpeg"] * len(rows),
            "width": [row["width"] for row in rows],
            "height": [row["height"] for row in rows],
            "image_digest": [row["digest"] for row in rows],
            "image_bytes": [row["bytes"] for row in rows],
            "image_source": [row["source_url"] or "/".join(row["items"]) for row in rows],
            "image_licence": [row["licence"] for row in rows],
            "image_attribution": [row["attribution"] for row in rows],
            "image_date": [row["date"] for row in rows],
            "author": [row["author"] for row in rows],
            "licence_url": [row["licence_url"] for row in rows],
            "page_url": [row["page_url"] for row in rows],
            "title": [row["title"] for row in rows],
            "year": [row["year"] for row in rows],
            "items": [row["items"] for row in rows],
            "flags": [row["flags"] for row in rows],
            "outdoor": [None] * len(rows),
            "geometry": [_ground_of(row) if row["modality"] == "aerial" else boxes[row["landmark_id"]] for row in rows],
        }
        columns = {name: pa.array(values, SCHEMA.columns.field(name).type) for name, values in records.items()}
        sources = {
            "image_id": columns["image_id"],
            "image_file": [row["path"] for row in rows],
            "index": pa.array([0] * len(rows), pa.int32()),
        }
        return pa.table(columns), pa.table(sources)


def _landmark(row: Mapping[str, Any], text: Mapping[str, Any]) -> Landmark:
    names = (
        "name",
        "qid",
        "osm_type",
        "osm_id",
        "wikipedia",
        "commons_category",
        "category",
        "state",
        "hierarchical_category",
    )
    return Landmark(
        row["landmark_id"], row["split"], {name: row[name] for name in names}, (row["lon"], row["lat"]), _box(row),
        text["sentence"], json.loads(text["sections"]), text["licence"], text["attribution"], text["source_url"],
    )  # fmt: skip


def _box(row: Mapping[str, Any]) -> bytes:
    box = shapely.box(row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"])
    return bytes(shapely.to_wkb(box))


def _ground_of(row: Mapping[str, Any]) -> bytes:
    """Return the ground of a square aerial image, from its centre; its width is taken as written by the stage."""
    half = row["ground_m"] / 2 / _METRES_A_DEGREE
    across = half / max(float(np.cos(np.radians(row["lat"]))), 1e-6)
    return bytes(
        shapely.to_wkb(shapely.box(row["lon"] - across, row["lat"] - half, row["lon"] + across, row["lat"] + half))
    )
