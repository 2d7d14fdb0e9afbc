"""Stage `release`: the tables of the run and its images -> one release folder (see `catalog.build`).

Inputs: the tables of all earlier stages and the images. Output: `release/`: the images as links, `manifest.parquet`
with a row an image, `landmarks.parquet`, `texts.parquet`, a STAC catalog with an item a landmark, the card, Croissant
metadata and checksums; and `release-page/index.html`, a page to look at it.
"""

from __future__ import annotations

import json
from collections import defaultdict
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
from catalog.landmarks.model import Landmark, Text
from catalog.manifest import ROW_GROUP, in_order
from catalog.model import MANIFEST_NAME, About, Benchmark, Contents, Format
from pipeline.errors import PermanentError
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.landmarks.left_out import left_out
from stages.landmarks.outdoor import SCORES
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
    "outdoor": ("outdoor", "scores.parquet"),
    "split_landmarks": ("split", "landmarks.parquet"),
    "split_images": ("split", "images.parquet"),
    "refused": ("ground", "refused.parquet"),
}
_REJECTED = ("select", "resolve")
"""Stages whose `rejected.parquet` the page tells of."""

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
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = ReleaseParams
    reads: ClassVar[tuple[str, ...]] = ("select", "resolve", "ground", "outdoor", "text", "aerial", "index", "split")

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        found = {name: outputs_named(run.read(stage), file) for name, (stage, file) in _TABLES.items()}
        found["rejected"] = [each for stage in _REJECTED for each in outputs_named(run.read(stage), "rejected.parquet")]
        tables = {name: [entry.path for entry in entries] for name, entries in found.items()}
        digests = [entry.digest for entries in found.values() for entry in entries]
        return [self.unit("release", {"seed": run.seed, "tables": tables}, digests)]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Build the release. Raises PermanentError if the tables and images contradict each other."""
        from catalog.build import build_release  # brings Zarr and more, which planning does without
        from stages.landmarks.page import write_page

        landmarks, records, sources = self._joined(workspace, unit.payload["tables"])
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
        write_page(page, target, self.params.title, landmarks, left_out(workspace, unit.payload["tables"]))
        made = (output(workspace, target / MANIFEST_NAME), output(workspace, page))
        said = f"{len(landmarks):,} landmarks, {images:,} images, in {FOLDER}/"
        return Result(made, {"seed": unit.payload["seed"], "landmarks": len(landmarks), "said": said})

    @staticmethod
    def _joined(workspace: Path, paths: Mapping[str, Sequence[str]]) -> tuple[list[Landmark], pa.Table, pa.Table]:
        """Return landmarks, table of images and table of sources; the tables of the run are then let go."""
        tables = Tables.read(workspace, paths)
        return tables.landmark_objects(), *tables.records()

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit; images are links."""
        count = before["resolve"].propagated.get("landmarks", 0) if "resolve" in before else 0
        return Estimate(1, seconds=2 + count * 0.02)


class Tables:
    """The tables of a run, joined."""

    def __init__(self, landmarks: pa.Table, texts: pa.Table, images: pa.Table, scores: pa.Table) -> None:
        """Take the joined tables.

        Args:
            landmarks: `LANDMARKS` with `split`, null for one that is left out.
            texts: `TEXTS`.
            images: `IMAGES` with `split`, `verdict` and `reasons`.
            scores: `SCORES`, of images that were classified.
        """
        self.landmarks, self.texts, self.images, self.scores = landmarks, texts, images, scores

    @classmethod
    def read(cls, workspace: Path, paths: Mapping[str, Sequence[str]]) -> Tables:
        """Read and join. Raises PermanentError naming a table that cannot be read.

        Args:
            workspace: What paths are relative to.
            paths: Paths of the tables by the names of `_TABLES`; all names must be there, a name may have no table.

        Returns:
            An image that the split did not judge has null verdict and split.
        """
        schemas = {
            "landmarks": LANDMARKS, "texts": TEXTS, "ground": IMAGES, "aerial": IMAGES, "index": IMAGES,
            "split_landmarks": SPLIT_LANDMARKS, "split_images": SPLIT_IMAGES, "outdoor": SCORES,
        }  # fmt: skip
        read = {
            name: read_tables([workspace / path for path in paths[name]], schema) for name, schema in schemas.items()
        }
        # A join cannot carry lists, and the release has no need of these.
        landmarks = (
            read["landmarks"]
            .drop_columns("places")
            .join(read["split_landmarks"].select(["landmark_id", "split"]), "landmark_id")
        )
        images = pa.concat_tables([read["ground"], read["aerial"], read["index"]])
        # A join cannot carry lists; positions can be joined instead.
        position = pc.index_in(images["image_id"], read["split_images"]["image_id"])
        judged = read["split_images"].take(position)
        for name in ("split", "verdict", "reasons"):
            images = images.append_column(name, judged[name])
        return cls(landmarks.sort_by("landmark_id"), read["texts"], images, read["outdoor"])

    def kept(self) -> list[dict[str, Any]]:
        """Return the rows of the landmarks that take part."""
        rows: list[dict[str, Any]] = self.landmarks.filter(pc.is_valid(self.landmarks["split"])).to_pylist()
        return rows

    def landmark_objects(self) -> list[Landmark]:
        """Return the landmarks that take part. The English text stands for a landmark, else the first by its code."""
        texts: dict[str, list[Text]] = defaultdict(list)
        for row in sorted(self.texts.to_pylist(), key=lambda row: (row["language"] != "en", row["language"])):
            texts[row["landmark_id"]].append(_text(row))
        return [_landmark(row, texts[row["landmark_id"]]) for row in self.kept()]

    def records(self) -> tuple[pa.Table, pa.Table]:
        """Return what the catalog wants: the table of images and the table of sources.

        Columns are computed as wholes: a full dataset has some 10^6 rows, too many for an object each.
        """
        images = self.images
        rejected = pc.equal(images["verdict"], "rejected")
        aerial = pc.equal(images["modality"], "aerial")
        items = pc.binary_join(images["items"], "/")
        records = {
            "image_id": images["image_id"],
            "landmark_id": pc.coalesce(images["landmark_id"], images["image_id"]),
            "modality": pc.if_else(aerial, "satellite", "ground"),
            "distractor": pc.is_null(images["landmark_id"]),
            "split": pc.if_else(rejected, pa.scalar(None, pa.string()), images["split"]),
            "format": pa.array(["jpeg"] * images.num_rows, pa.string()),
            "image_digest": images["digest"],
            "image_bytes": images["bytes"],
            "image_source": pc.if_else(
                pc.equal(images["source_url"], ""),
                pc.binary_join_element_wise("urn:item:", items, ""),
                images["source_url"],
            ),
            "image_licence": images["licence"],
            "image_attribution": images["attribution"],
            "image_date": images["date"],
            "outdoor": self._outdoor(),
            "geometry": self._geometry(aerial),
        }
        columns = {
            name: (records[name] if name in records else images[name]).cast(SCHEMA.columns.field(name).type)
            for name in SCHEMA.columns.names
        }
        sources = {
            "image_id": images["image_id"],
            "image_file": images["path"],
            "index": pa.array(np.zeros(images.num_rows, np.int32)),
        }
        # The manifest is made in this order: it then needs no copy of them.
        return in_order(SCHEMA, pa.table(columns)), pa.table(sources)

    def _outdoor(self) -> pa.ChunkedArray:
        """Return the score of each image, null where no classifier looked at it."""
        return self.scores["outdoor"].take(pc.index_in(self.images["image_id"], self.scores["image_id"]))

    def _geometry(self, aerial: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the ground of aerial images and the box of other images' landmarks, WKB.

        The place of a photograph that belongs to no landmark is not known: it gets the extent of all landmarks.
        """
        boxes = np.stack([self.landmarks[name].to_numpy() for name in ("min_lon", "min_lat", "max_lon", "max_lat")])
        if self.landmarks.num_rows:
            extent = np.array([boxes[0].min(), boxes[1].min(), boxes[2].max(), boxes[3].max()])
        else:
            extent = np.zeros(4)
        known = np.concatenate([boxes.T, extent[None]])
        position = pc.index_in(self.images["landmark_id"], self.landmarks["landmark_id"])
        corners = known[pc.fill_null(position, len(known) - 1).to_numpy()]
        looks_down = aerial.to_numpy()
        lon, lat, width = (self.images[name].to_numpy()[looks_down] for name in ("lon", "lat", "ground_m"))
        up = width / 2 / _METRES_A_DEGREE
        across = up / np.maximum(np.cos(np.radians(lat)), 1e-6)
        corners[looks_down] = np.stack([lon - across, lat - up, lon + across, lat + up], axis=1)
        parts = [corners[start : start + ROW_GROUP] for start in range(0, len(corners), ROW_GROUP)]
        return pa.chunked_array([shapely.to_wkb(shapely.box(*part.T)) for part in parts], pa.binary())


def _landmark(row: Mapping[str, Any], texts: Sequence[Text]) -> Landmark:
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
        tuple(texts),
    )  # fmt: skip


def _text(row: Mapping[str, Any]) -> Text:
    return Text(
        row["language"], row["sentence"], json.loads(row["sections"]), row["licence"], row["attribution"],
        row["source_url"],
    )  # fmt: skip


def _box(row: Mapping[str, Any]) -> bytes:
    box = shapely.box(row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"])
    return bytes(shapely.to_wkb(box))
