"""Stage `outdoor`: the probability, by a classifier, that each photograph was taken outdoors.

Inputs: the photographs of `ground`. Output, a unit for each 512 of them: `landmarks/outdoor/<number>/scores.parquet`.
Nothing is deleted: the score is a column of the release, and who wants the subset chooses a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.landmarks.classifiers import AnyClassifier
from stages.landmarks.ground import decoded
from stages.landmarks.tables import IMAGES, outputs_named
from stages.tables import read_tables, write_table

BATCH = 512
_TOGETHER = 32
_SECONDS_AN_IMAGE, _IMAGES_A_LANDMARK = 0.02, 18

SCORES = pa.schema([("image_id", pa.string()), ("outdoor", pa.float64())])
"""One row a photograph, ordered by image_id."""


class OutdoorParams(BaseModel):
    """What tells outdoors from indoors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classifier: AnyClassifier = Field(description="The classifier.")


class OutdoorStage(Stage[OutdoorParams]):
    """Score photographs; a unit is 512 of them."""

    name: ClassVar[str] = "outdoor"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = OutdoorParams
    reads: ClassVar[tuple[str, ...]] = ("ground",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the batches, in the order of the images' ids."""
        tables = outputs_named(run.read("ground"), "images.parquet")
        columns = ["image_id", "path", "digest"]
        rows = read_tables([run.workspace / table.path for table in tables], IMAGES, columns).sort_by("image_id")
        found = rows.to_pylist()
        identity = self.params.classifier.identity()
        return [
            self.unit(
                f"{start // BATCH:05d}",
                {"images": [[row["image_id"], row["path"]] for row in some]},
                [identity, *(row["digest"] for row in some)],
                weight=len(some),
            )
            for start in range(0, len(found), BATCH)
            if (some := found[start : start + BATCH])
        ]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Score a batch. Raises PermanentError if an image cannot be read or a classifier gives no scores."""
        rows: list[dict[str, Any]] = []
        images = unit.payload["images"]
        for start in range(0, len(images), _TOGETHER):
            some = images[start : start + _TOGETHER]
            pixels = [decoded((workspace / path).read_bytes()) for _, path in some]
            whole = [image for image in pixels if image is not None]
            if len(whole) < len(some):
                raise PermanentError(f"a photograph of {unit.name} cannot be decoded; run `mapdata verify`")
            scores = np.asarray(self.params.classifier.scores(whole), np.float64)
            if scores.shape != (len(some),) or not ((scores >= 0) & (scores <= 1)).all():
                raise PermanentError(f"the classifier gives no score from 0 to 1 for each image: {scores.shape}")
            rows += [
                {"image_id": name, "outdoor": score} for (name, _), score in zip(some, scores.tolist(), strict=True)
            ]
        path = workspace / "landmarks" / "outdoor" / unit.name / "scores.parquet"
        write_table(path, rows, SCORES)
        return Result(
            (output(workspace, path),), {"images": len(rows), "outdoor": sum(r["outdoor"] >= 0.5 for r in rows)}
        )

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count the photographs that are expected."""
        count = before["ground"].propagated.get("landmarks", 0) * _IMAGES_A_LANDMARK if "ground" in before else 0
        return Estimate(-(-round(count) // BATCH), written=round(count * 24), seconds=count * _SECONDS_AN_IMAGE)
