"""Stage `select`: what may be a landmark, from an OpenStreetMap extract or a synthetic country.

Output, a unit each source: `landmarks/select/<source>/candidates.parquet` and `rejected.parquet` (see
`stages.landmarks.tables`). Of several objects with one Wikidata item the largest is taken, of equal ones the relation,
then the lowest id. Candidates have no category, state or page yet unless the source gives them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError
from pipeline.files import digest_file
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from raster.config_path import ConfigPath
from stages.landmarks.osm_areas import OsmArea, longest_edge_m, wiki_areas
from stages.landmarks.tables import LANDMARKS, REJECTED, short_id
from stages.tables import write_table

Row = dict[str, Any]
_SECONDS_A_BYTE = 4e-8
_OSM = {"licence": "ODbL-1.0", "attribution": "© OpenStreetMap contributors"}


class _Selection(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def rows(self) -> tuple[list[Row], list[Row]]:
        """Return the candidates and what was rejected."""

    def identity(self) -> str:
        """Return what changes when the source's content does."""
        return ""

    def count(self) -> float:
        """Return how many landmarks may come of it, roughly."""
        return 0.0


class OsmSelection(_Selection):
    """Areas of an OpenStreetMap extract."""

    kind: Literal["osm"] = "osm"
    path: ConfigPath = Field(description="An extract, .osm.pbf.")
    most_edge_m: float = Field(400.0, gt=0, description="Longest edge of a landmark's bounding box, metres.")
    expected: int = Field(18_557, ge=1, description="Landmarks to expect, for `plan` before the extract was read.")

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Read the extract."""
        kept: dict[str, OsmArea] = {}
        rejected: list[Row] = []
        for area in wiki_areas(self.path):
            if reason := area.reason(self.most_edge_m):
                rejected.append(_rejection(area, reason))
                continue
            key = area.qid or area.article
            other = kept.get(key)
            kept[key] = area if other is None else min(area, other, key=_preference)
            if other is not None:
                loser = other if kept[key] is area else area
                winner = kept[key]
                rejected.append(_rejection(loser, f"{winner.osm_type} {winner.osm_id} has the same item and is larger"))
        candidates = [_candidate(area) for area in kept.values()]
        rejected.sort(key=lambda row: (row["osm_type"], row["osm_id"]))
        return sorted(candidates, key=lambda row: str(row["landmark_id"])), rejected

    def identity(self) -> str:
        """Return the digest of the extract."""
        if not self.path.is_file():
            raise PermanentError(f"{self.path}: no such extract; download one and name it in `select`")
        return digest_file(self.path)

    def count(self) -> float:
        """Return the number that the configuration expects."""
        return self.expected


class SimulatedSelection(_Selection):
    """Landmarks of a synthetic country."""

    kind: Literal["simulated"] = "simulated"
    world: int = Field(0, ge=0, description="Seed of the country; the same in all stages.")
    landmarks: int = Field(240, ge=1, description="How many.")
    first: int = Field(0, ge=0, description="Number of the first; a country has any number of landmarks.")

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Make them."""
        from stages.landmarks.simulated import candidate_row

        numbers = range(self.first, self.first + self.landmarks)
        return sorted((candidate_row(self.world, n) for n in numbers), key=lambda row: row["landmark_id"]), []

    def count(self) -> float:
        """Return the number."""
        return self.landmarks


AnySelection = Annotated[OsmSelection | SimulatedSelection, Field(discriminator="kind")]


class SelectParams(BaseModel):
    """Where landmarks are looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: Mapping[str, AnySelection] = Field(min_length=1, description="Sources by a name of yours.")


class SelectStage(Stage[SelectParams]):
    """Select candidates; a unit is a source."""

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = SelectParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit a source."""
        return [self.unit(name, {"source": name}, [source.identity()]) for name, source in self.params.sources.items()]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Select. Raises PermanentError if a source cannot be read."""
        candidates, rejected = self.params.sources[unit.payload["source"]].rows()
        folder = workspace / "landmarks" / "select" / unit.name
        tables = (
            (folder / "candidates.parquet", candidates, LANDMARKS),
            (folder / "rejected.parquet", rejected, REJECTED),
        )
        for path, rows, schema in tables:
            write_table(path, rows, schema)
        data = {"candidates": len(candidates), "rejected": _counted(rejected)}
        return Result(tuple(output(workspace, path) for path, *_ in tables), data)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return the extracts that are missing."""
        return [
            f"sources.{name}.path: {source.path}: there is no such file; download an extract"
            for name, source in self.params.sources.items()
            if isinstance(source, OsmSelection) and not source.path.is_file()
        ]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate:
        """Count the landmarks that are expected."""
        sizes = [Path(s.path).stat().st_size for s in self._extracts() if s.path.is_file()]
        count = sum(source.count() for source in self.params.sources.values())
        return Estimate(
            len(self.params.sources), seconds=1 + sum(sizes) * _SECONDS_A_BYTE, propagated={"landmarks": count}
        )

    def _extracts(self) -> Iterator[OsmSelection]:
        return (source for source in self.params.sources.values() if isinstance(source, OsmSelection))


def _preference(area: OsmArea) -> tuple[float, int, int]:
    assert area.geometry is not None
    return (-longest_edge_m(area.geometry), 0 if area.osm_type == "relation" else 1, area.osm_id)


def _candidate(area: OsmArea) -> Row:
    assert area.geometry is not None
    west, south, east, north = area.geometry.bounds
    commons = area.tags.get("wikimedia_commons", "")
    return {
        "landmark_id": short_id("osm", area.qid or area.article),
        "name": area.tags.get("name", ""),
        "qid": area.qid,
        "osm_type": area.osm_type,
        "osm_id": area.osm_id,
        "wikipedia": area.article,
        "commons_category": commons.removeprefix("Category:") if commons.startswith("Category:") else "",
        "category": area.category,
        "state": "",
        "hierarchical_category": "",
        "lon": (west + east) / 2,
        "lat": (south + north) / 2,
        "min_lon": west,
        "min_lat": south,
        "max_lon": east,
        "max_lat": north,
        "edge_m": longest_edge_m(area.geometry),
        "places": None,
    } | _OSM


def _rejection(area: OsmArea, reason: str) -> Row:
    return {
        "name": area.tags.get("name", ""),
        "osm_type": area.osm_type,
        "osm_id": area.osm_id,
        "qid": area.qid,
        "reason": reason,
    }


def _counted(rejected: Sequence[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rejected:
        kind = row["reason"].partition(",")[0] if "m long" not in row["reason"] else "its box is too long"
        counts[kind] = counts.get(kind, 0) + 1
    return counts
