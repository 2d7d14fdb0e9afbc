"""Stage `aerial`: aerial images of a landmark, one of each year that the source has, and of distractors.

Input: the landmarks of `resolve`. Outputs, a unit a landmark: `landmarks/aerial/<ab>/<id>/<image>.jpg`, square and
centred on the landmark, and `images.parquet`. Images with more no-data than `most_nodata` are left out; a landmark
without any is no-data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.files import digest_bytes, write_bytes
from pipeline.stage import Estimate, Outcome, Output, Result, RunView, Stage, Unit, output
from stages.landmarks.ground import encoded, hash_of, per_landmark
from stages.landmarks.sources import AnyAerial, Chip, Row, key_params, problems_of
from stages.landmarks.tables import IMAGES, LANDMARKS, outputs_named, rows_of, short_id
from stages.tables import write_table

_BYTES_A_PIXEL = 0.35


class AerialParams(BaseModel):
    """Where aerial images come from and how they are cut."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: AnyAerial = Field(description="Source of the images.")
    size: int = Field(800, ge=32, le=4096, description="Width and height, pixels.")
    gsd: float = Field(0.6, gt=0, description="Metres on the ground a pixel.")
    most_nodata: float = Field(0.2, ge=0, le=1, description="Share of an image that may be without data.")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality.")


class AerialStage(Stage[AerialParams]):
    """Get aerial images; a unit is a landmark."""

    name: ClassVar[str] = "aerial"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = AerialParams
    reads: ClassVar[tuple[str, ...]] = ("resolve",)
    roles: ClassVar[tuple[str, ...]] = ("aerial",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit a landmark."""
        tables = outputs_named(run.read("resolve"), "landmarks.parquet")
        rows = rows_of(run.workspace, [table.path for table in tables], LANDMARKS)
        return [self.unit(row["landmark_id"], row, [self.params.source.identity(row)]) for row in rows]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Get and write the images of a landmark."""
        folder = workspace / "landmarks" / "aerial" / unit.name[:2] / unit.name
        chips = self.params.source.chips(unit.payload, self.params.size, self.params.gsd, workspace)
        rows, left_out = write_chips(chips, unit.payload, folder, workspace, self.params)
        write_table(folder / "images.parquet", rows, IMAGES)
        made = image_outputs(workspace, rows, folder / "images.parquet")
        outcome, reason = (Outcome.DONE, "") if rows else (Outcome.NO_DATA, "no aerial image has enough data here")
        data = {"images": len(rows), "without data": left_out, "years": sorted({row["year"] for row in rows})}
        return Result(made, data, outcome, reason)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the source: a contact that is not yours, a folder that is missing."""
        return problems_of(self.params)

    def key_params(self) -> Any:
        """Return the params, those that no result depends on left out."""
        return key_params(self.params)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count requests and bytes from the landmarks that are expected."""
        written = 10 * self.params.size**2 * _BYTES_A_PIXEL
        return per_landmark(before, "resolve", self.params.source, 3e-6 * self.params.size**2, written)


def write_chips(
    chips: Iterable[Chip], place: Row, folder: Path, workspace: Path, params: AerialParams
) -> tuple[list[dict[str, Any]], int]:
    """Write images and return their rows, ordered by id, and how many had too little data.

    Args:
        chips: One a year.
        place: Has lon, lat and landmark_id, which is None for a distractor.
        folder: Where the images go.
        workspace: What paths are relative to.
        params: Of the stage.
    """
    rows, left_out = [], 0
    for chip in chips:
        if float((chip.pixels[..., 3] == 0).mean()) > params.most_nodata:
            left_out += 1
            continue
        image = np.ascontiguousarray(chip.pixels[..., :3])
        body = encoded(image, params.quality)
        # The position makes ids of distractors unique; a landmark has one image a year.
        identity = short_id("aerial", place["landmark_id"], round(place["lon"], 7), round(place["lat"], 7), chip.year)
        path = folder / f"{identity}.jpg"
        write_bytes(path, body)
        rows.append(
            {
                "image_id": identity,
                "landmark_id": place["landmark_id"],
                "modality": "aerial",
                "path": path.relative_to(workspace).as_posix(),
                "digest": digest_bytes(body),
                "bytes": len(body),
                "width": params.size,
                "height": params.size,
                "lon": place["lon"],
                "lat": place["lat"],
                "ground_m": params.size * params.gsd,
                "year": chip.year,
                "date": chip.date,
                "items": list(chip.items),
                "title": "",
                "author": "",
                "licence": chip.licence,
                "licence_url": "",
                "attribution": chip.attribution,
                "source_url": chip.source_url,
                "page_url": "",
                "sha1": "",
                "hash": hash_of(image),
                "flags": [],
            }
        )
    return sorted(rows, key=lambda row: str(row["image_id"])), left_out


def image_outputs(workspace: Path, rows: Sequence[Mapping[str, Any]], table: Path) -> tuple[Output, ...]:
    """Return the outputs of a unit: its images, then their table.

    Args:
        workspace: What paths of outputs are relative to.
        rows: Rows of `IMAGES`, whose files exist.
        table: The unit's `images.parquet`.
    """
    return tuple(output(workspace, path) for path in [*(workspace / row["path"] for row in rows), table])
