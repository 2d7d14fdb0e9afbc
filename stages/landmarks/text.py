"""Stage `text`: articles about landmarks, without the sections that say nothing of them.

Input: the landmarks of `resolve`. Output, a unit for each 20 landmarks: `landmarks/text/<number>/texts.parquet` (see
`stages.landmarks.tables.TEXTS`). The sentence is the first of the lead, without names of places and coordinates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output
from stages.landmarks.ground import per_landmark
from stages.landmarks.prose import cleaned_sections, first_sentence, without_places
from stages.landmarks.sources import AnyText, Article, Row, key_params, problems_of
from stages.landmarks.tables import LANDMARKS, TEXTS, outputs_named, rows_of
from stages.tables import write_table

BATCH = 20


class TextParams(BaseModel):
    """Where texts come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: AnyText = Field(description="Source of the texts.")


class TextStage(Stage[TextParams]):
    """Get texts; a unit is 20 landmarks."""

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = TextParams
    reads: ClassVar[tuple[str, ...]] = ("resolve",)
    roles: ClassVar[tuple[str, ...]] = ("text",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the batches."""
        tables = outputs_named(run.read("resolve"), "landmarks.parquet")
        rows = rows_of(run.workspace, [table.path for table in tables], LANDMARKS)
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        return [
            self.unit(f"{n:05d}", {"landmarks": batch}, [self.params.source.identity(row) for row in batch], len(batch))
            for n, batch in enumerate(batches)
        ]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Get and clean the texts of a batch."""
        landmarks = unit.payload["landmarks"]
        found = self.params.source.articles(landmarks, workspace)
        rows = [
            row
            for landmark in landmarks
            for article in found.get(landmark["landmark_id"], ())
            if (row := text_row(landmark, article)) is not None
        ]
        rows.sort(key=lambda row: (row["landmark_id"], row["language"]))
        path = workspace / "landmarks" / "text" / unit.name / "texts.parquet"
        write_table(path, rows, TEXTS)
        missing = len(landmarks) - len({row["landmark_id"] for row in rows})
        outcome, reason = (Outcome.DONE, "") if rows else (Outcome.NO_DATA, "none of these landmarks has a text")
        return Result((output(workspace, path),), {"texts": len(rows), "without": missing}, outcome, reason)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the source: a contact that is not yours, a folder that is missing."""
        return problems_of(self.params)

    def key_params(self) -> Any:
        """Return the params, those that no result depends on left out."""
        return key_params(self.params)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count requests and bytes from the landmarks that are expected."""
        found = per_landmark(before, "resolve", self.params.source, 0.05, 4000)
        return found and replace(found, units=-(-found.units // BATCH))


def text_row(landmark: Row, article: Article) -> dict[str, Any] | None:
    """Return an article as a row of `TEXTS`; None if it has no lead.

    Args:
        landmark: Row of `LANDMARKS`; its name stays in the first sentence, its places and its state are removed.
        article: Plain text by section; sections such as references are left out (`cleaned_sections`).
    """
    sections = cleaned_sections(article.sections)
    if not sections.get(""):
        return None
    known = (*article.places, *(landmark["places"] or ()), landmark["state"])
    places = [name for name in known if name and name != landmark["name"]]
    sentence = first_sentence(sections[""], article.language)
    return {
        "landmark_id": landmark["landmark_id"],
        "language": article.language,
        "title": article.title,
        "sections": json.dumps(sections, ensure_ascii=False),
        "sentence": without_places(sentence, places),
        "revision": article.revision,
        "licence": article.licence,
        "attribution": article.attribution,
        "source_url": article.source_url,
    }
