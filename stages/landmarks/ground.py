"""Stage `ground`: photographs of a landmark, taken from the ground.

Input: the landmarks of `resolve`. Outputs, a unit a landmark: `landmarks/ground/<ab>/<id>/<image>.jpg`, longest side at
most 800 px, and beside them `images.parquet` and `refused.parquet`. A photograph is refused if its licence does not
allow to publish it or if it cannot be decoded; it is flagged, not refused, where its title or categories say that it
may not show the landmark from outside, or if it is nearly the same as another of the landmark. A landmark without a
photograph is no-data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pipeline.files import digest_bytes, write_bytes
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output
from raster.errors import RasterError
from raster.picture import decode_picture
from stages.landmarks.licences import refusal, spdx_of
from stages.landmarks.sources import AnyGround, HostLoad, LandmarkSource, Photograph, key_params, problems_of
from stages.landmarks.tables import IMAGES, LANDMARKS, outputs_named, rows_of, short_id
from stages.tables import write_table
from stages.tile.statistics import THUMBNAIL_PX, perceptual_hashes

REFUSED = pa.schema(
    [("landmark_id", pa.string()), ("name", pa.string()), ("page_url", pa.string()), ("reason", pa.string())]
)
"""Photographs that are not published, and why."""

_FLAGS: tuple[tuple[str, str], ...] = (
    ("portrait", r"\bportraits?\b|\bheadshot\b|\bselfie\b"),
    ("map", r"\bmaps?\b|\bplans? of\b|\bfloor ?plan\b|\bdiagram\b"),
    ("coat of arms", r"\bcoats? of arms\b|\blogo\b|\bseal of\b|\bflag of\b"),
    ("interior", r"\binteriors?\b|\binside\b|\bindoors?\b|\bnave\b|\baltar\b|\bstairwell\b"),
    ("view from it", r"\bviews? (?:from|of .* from)\b"),
    ("document", r"\bscan(?:ned)?\b|\bnewspaper\b|\bletter\b|\bmanuscript\b|\bpostage stamp\b"),
)
_SECONDS_A_LANDMARK = 0.7
_BYTES_AN_IMAGE = 120_000


class GroundParams(BaseModel):
    """Where photographs come from and how they are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: AnyGround = Field(description="Source of the photographs.")
    longest_side: int = Field(800, ge=64, description="Longest side of a published photograph, pixels.")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality.")
    near_bits: int = Field(6, ge=0, le=20, description="Bits of 64 by which near duplicates' hashes differ at most.")


class GroundStage(Stage[GroundParams]):
    """Get photographs; a unit is a landmark."""

    name: ClassVar[str] = "ground"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = GroundParams
    reads: ClassVar[tuple[str, ...]] = ("resolve",)
    roles: ClassVar[tuple[str, ...]] = ("ground",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit a landmark."""
        tables = outputs_named(run.read("resolve"), "landmarks.parquet")
        units = []
        for row in rows_of(run.workspace, [table.path for table in tables], LANDMARKS):
            units.append(self.unit(row["landmark_id"], row, [self.params.source.identity(row)]))
        return units

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Get, judge and write the photographs of a landmark."""
        landmark = unit.payload
        folder = workspace / "landmarks" / "ground" / unit.name[:2] / unit.name
        rows: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for given in self.params.source.photographs(landmark, workspace):
            row, body, reason = self._judged(landmark, given)
            if row is None or body is None:
                refused.append(
                    {"landmark_id": unit.name, "name": given.name, "page_url": given.page_url, "reason": reason}
                )
                continue
            path = folder / f"{row['image_id']}.jpg"
            write_bytes(path, body)
            rows.append(row | {"path": path.relative_to(workspace).as_posix()})
        rows.sort(key=lambda row: str(row["image_id"]))
        flag_near_duplicates(rows, self.params.near_bits)
        write_table(folder / "images.parquet", rows, IMAGES)
        write_table(folder / "refused.parquet", refused, REFUSED)
        made = [output(workspace, workspace / row["path"]) for row in rows]
        made += [output(workspace, folder / name) for name in ("images.parquet", "refused.parquet")]
        data = {"images": len(rows), "refused": _counted(refused)}
        outcome = Outcome.DONE if rows else Outcome.NO_DATA
        reason = "" if rows else f"no photograph of {landmark['name']} may be published"
        return Result(tuple(made), data, outcome, reason)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the source: a contact that is not yours, a folder that is missing."""
        return problems_of(self.params)

    def key_params(self) -> Any:
        """Return the params, those that no result depends on left out."""
        return key_params(self.params)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count units, requests and bytes from the landmarks that are expected."""
        return per_landmark(before, "resolve", self.params.source, _SECONDS_A_LANDMARK, 18 * _BYTES_AN_IMAGE)

    def _judged(
        self, landmark: Mapping[str, Any], given: Photograph
    ) -> tuple[dict[str, Any] | None, bytes | None, str]:
        """Return the row and the file of a photograph, or why there is none."""
        licence = spdx_of(given.licence, given.licence_url)
        reason = given.fault or refusal(licence)
        if reason or given.body is None:
            return None, None, reason or "it has no content"
        image = decoded(given.body)
        if image is None:
            return None, None, "it cannot be decoded"
        body, width, height = self._reduced(image)
        row = {
            "image_id": short_id("ground", landmark["landmark_id"], given.name),
            "landmark_id": landmark["landmark_id"],
            "modality": "ground",
            "digest": digest_bytes(body),
            "bytes": len(body),
            "width": width,
            "height": height,
            "date": given.date,
            "items": [given.name],
            "title": given.title,
            "author": given.author,
            "licence": licence,
            "licence_url": given.licence_url,
            "attribution": given.attribution or f"{given.author or 'author not stated'}, {licence}",
            "source_url": given.source_url,
            "page_url": given.page_url,
            "sha1": given.sha1,
            "hash": hash_of(image),
            "flags": flags_of(given.title, given.categories),
        }
        return row, body, ""

    def _reduced(self, image: np.ndarray) -> tuple[bytes, int, int]:
        small = reduced(image, self.params.longest_side)
        return encoded(small, self.params.quality), small.shape[1], small.shape[0]


def flags_of(title: str, categories: Iterable[str]) -> list[str]:
    """Return what a photograph seems to be, by its title and categories.

    Args:
        title: Name of the file; underscores, dots and hyphens divide words.
        categories: What the source files it under.

    Returns:
        Names of `_FLAGS` in their order, such as "interior"; empty for a plain photograph.
    """
    text = " | ".join([re.sub(r"[_.-]+", " ", title), *categories]).lower()
    return [flag for flag, pattern in _FLAGS if re.search(pattern, text)]


def flag_near_duplicates(rows: Sequence[dict[str, Any]], bits: int) -> None:
    """Flag every row whose hash differs in at most `bits` bits from that of an earlier row without this flag.

    Args:
        rows: Rows of `IMAGES`, whose `flags` are changed in place; the order decides which one of a group stays. A row
            with hash 0 (a flat image) is never flagged.
        bits: Largest Hamming distance of two perceptual hashes of 64 bits.
    """
    kept: list[int] = []
    for row in rows:
        near = any(int(row["hash"] ^ other).bit_count() <= bits for other in kept) if row["hash"] else False
        if near:
            row["flags"].append("near duplicate")
        else:
            kept.append(row["hash"])


def decoded(body: bytes) -> np.ndarray | None:
    """Decode a JPEG or PNG of at most 100 million pixels to RGB (H, W, 3) uint8; None if it is none or cut short."""
    try:
        return decode_picture(body, ("JPEG", "PNG"))
    except RasterError:
        return None


def reduced(image: np.ndarray, longest: int) -> np.ndarray:
    """Return an RGB image (H, W, 3) with its longer side at most `longest` pixels, by area averages.

    Args:
        image: uint8.
        longest: Pixels; a smaller image is returned as it is.
    """
    factor = min(1.0, longest / max(image.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return image if factor == 1 else np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def encoded(image: np.ndarray, quality: int) -> bytes:
    """Encode RGB as JPEG.

    Args:
        image: (H, W, 3) uint8.
        quality: 0 to 100, as JPEG encoders have it.

    Returns:
        The file's bytes; the same image gives the same bytes with one version of OpenCV.
    """
    done, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(code.tobytes())


def hash_of(image: np.ndarray) -> int:
    """Return the perceptual hash of an RGB image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return int(perceptual_hashes(np.asarray(small, np.uint8)[None])[0])


def per_landmark(
    before: Mapping[str, Estimate],
    stage: str,
    source: LandmarkSource | Mapping[str, HostLoad],
    seconds: float,
    written: float,
) -> Estimate | None:
    """Estimate a stage that has a unit a landmark, from the landmarks that an earlier stage propagates.

    Args:
        before: Estimates of the stages before, by name.
        stage: The one whose number of landmarks is taken.
        source: Tells what each of its hosts is asked for; or the loads themselves, by host.
        seconds: Computing time a landmark, in seconds.
        written: Bytes that a landmark takes on disk.

    Returns:
        Its seconds are the larger of computing time and the slowest host's time by its rate limits, as both go on side
        by side. None where the number of landmarks is not known or 0.
    """
    propagated = before[stage].propagated if stage in before else {}
    count = propagated.get("landmarks", 0)
    if not count:
        return None
    loads = source.load(count) if isinstance(source, LandmarkSource) else source
    return Estimate(
        round(count),
        requests=round(sum(load.requests for load in loads.values())),
        downloaded=round(sum(load.bytes for load in loads.values())),
        written=round(count * written),
        seconds=max([count * seconds, *(load.seconds for load in loads.values())]),
        hosts={host: (round(load.requests), load.requests_per_second) for host, load in loads.items()},
        traffic={host: (round(load.bytes), load.bytes_per_second) for host, load in loads.items()},
        propagated=propagated,
    )


def _counted(refused: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in refused:
        counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    return counts
