"""Stage `release`: the tables of the run and its tiles -> one release folder (see `catalog.build`).

Inputs: `tiles/**/rows-*.parquet`, `clean/clean.parquet`, `split/split.parquet`, `sample/sites.parquet`, the tiles, the
rasters and the evidence of their alignment. Output: `release/`. Images are hard links of the tiles, so a release costs
little disk beside the workspace. The ledger keeps the manifest only, from which all else derives: a format added later
(`mapdata export`) changes no output of the stage.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pyproj import Geod

from catalog.card import NUMBER
from catalog.errors import CatalogError
from catalog.model import MANIFEST_NAME, About, Benchmark, Contents, Format
from catalog.pairs import SCHEMA
from catalog.pairs.model import SIDES, Raster, RasterPair
from pipeline.errors import PermanentError
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output, propagated
from raster.grid import Grid
from stages.review import review_of
from stages.tables import CLEAN, PAIRS, SITES, SPLIT, read_tables

FOLDER = "release"
_GEOD = Geod(ellps="WGS84")
_STORED_BYTES_A_PIXEL = 1.6
_SECONDS_A_STORED_PAIR = 0.017  # decoding and storing two images of 512 x 512 px, see benchmarks/release.py
_SECONDS_A_PAIR = 0.0005
_OF_PEOPLE = ("review", "reviewed_by", "operators", "operator_px", "inter_operator_px")
_RASTER_FACTS = ("digest", "width", "height", "crs", "transform", "source", "licence", "attribution", "date")


class ReleaseParams(BaseModel):
    """What the release says of itself, and which parts it has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field("", validate_default=True, description="Name of the dataset; default: that of the run.")
    description: str = Field(
        "Pairs of electronic map and visible remote sensing image of the same ground, aligned pixel by pixel.",
        description="A sentence or two for the card and the catalog.",
    )
    version: str = Field("1.0.0", description="Version of the dataset, not of the software.")
    licence: str = Field(
        "other", pattern=r"^[\w\-.+]+$", description="SPDX identifier of the whole; `other`: each source has its own."
    )
    creator: str = Field("MapData", description="Who publishes it.")
    url: str = Field("", description="Page of the dataset; empty if it has none.")
    formats: tuple[Format, ...] | None = Field(
        None,
        description="Parts besides the manifest: folders, zarr, rasters, cogs, stac, footprints. Default: all possible "
        "ones but cogs, which write every raster once more.",
    )

    @field_validator("title")
    @classmethod
    def _own_name(cls, title: str, info: ValidationInfo) -> str:
        return title or str((info.context or {}).get("name") or "MapData")


class ReleaseStage(Stage[ReleaseParams]):
    """Write the release: one unit, `release`."""

    name: ClassVar[str] = "release"
    version: ClassVar[int] = 4
    Params: ClassVar[type[BaseModel]] = ReleaseParams
    reads: ClassVar[tuple[str, ...]] = ("sample", "acquire", "align", "review", "tile", "clean", "split")
    roles: ClassVar[tuple[str, ...]] = ("map", "visible")

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit; its payload names the tables and describes every aligned raster pair."""
        files = {stage: _outputs(run.read(stage), ".parquet") for stage in ("tile", "clean", "split", "sample")}
        payload = {
            "seed": run.seed,
            "tables": {stage: [path for path, _ in found] for stage, found in files.items()},
            "rasters": list(_raster_pairs(run)),
            "refused": _refused(run),
        }
        made = (result for stage in self.reads for result in run.read(stage).values())
        digests = [entry.digest for result in made for entry in result.outputs]
        return [self.unit("release", payload, sorted(digests))]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit; the Zarr store is what takes space and time, the rest is links."""
        amounts = propagated(before, "tile")
        stored = self.params.formats is None or Format.ZARR in self.params.formats
        written = round(2 * amounts.get("pixels", 0) * _STORED_BYTES_A_PIXEL) if stored else 0
        seconds = amounts.get("pairs", 0) * (_SECONDS_A_STORED_PAIR if stored else _SECONDS_A_PAIR)
        return Estimate(1, written=written, seconds=seconds, propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Build the release.

        Raises:
            PermanentError: There is not one pair to publish, or tables, tiles and rasters contradict each other.
        """
        said = write_release(unit.payload, self.params, workspace, Benchmark())
        manifest = output(workspace, workspace / FOLDER / MANIFEST_NAME)
        data = {"seed": unit.payload["seed"], "params": self.params.model_dump(mode="json"), "said": said}
        return Result((manifest,), data)


def write_release(
    payload: Mapping[str, Any],
    params: ReleaseParams,
    workspace: Path,
    benchmark: Benchmark,
) -> str:
    """Build the folder `release` of a workspace from a unit's payload.

    Args:
        payload: Of the unit of `ReleaseStage`: paths of tables, facts of rasters, seed.
        params: What the release says of itself; formats of None are those that the tiles allow.
        workspace: Folder of the run; an earlier release is swapped out in whole.
        benchmark: What card and catalog say of measured matchers; empty before anything is measured.

    Returns:
        What was published and rejected, in one line.

    Raises:
        PermanentError: There is not one pair to publish, a table is absent or damaged, or its rows contradict
            each other.
    """
    from catalog.build import build_release  # brings Zarr and more, which planning does without

    tables = payload["tables"]
    tiles = read_tables([workspace / path for path in tables["tile"]], PAIRS)
    clean = read_tables([workspace / path for path in tables["clean"]], CLEAN)
    split = read_tables([workspace / path for path in tables["split"]], SPLIT)
    sites = read_tables([workspace / path for path in tables["sample"]], SITES, ["point_id", "site_id", "stratum"])
    strata = {(row["point_id"], row["site_id"]): row["stratum"] or "" for row in sites.to_pylist()}
    rasters = [_raster_pair(facts, workspace, strata) for facts in payload["rasters"]]
    pairs, sources = join_pairs(tiles, clean, split, rasters)
    counts = _counts(pairs)
    refused = {name: reason for name, reason in payload["refused"]}
    if not sum(counts["published"].values()):
        raise PermanentError(_nothing(counts, refused, workspace))
    about = About(
        title=params.title,
        description=params.description,
        version=params.version,
        licence=params.licence,
        creator=params.creator,
        url=params.url,
        software={"mapdata": version("mapdata")},
        seed=payload["seed"],
        benchmark=benchmark,
        left_out=refused,
    )
    formats = params.formats if params.formats is not None else possible_formats(tiles)
    try:
        build_release(SCHEMA, Contents(about, pairs, sources, rasters), workspace, workspace / FOLDER, formats)
    except CatalogError as error:
        raise PermanentError(str(error)) from error
    published = sum(counts["published"].values())
    splits = ", ".join(f"{name} {count:,}" for name, count in counts["published"].items())
    return f"{published:,} pairs ({splits}){_rejections(counts)}, in {FOLDER}/"


def _counts(pairs: pa.Table) -> dict[str, Counter[str]]:
    """Return how many pairs are published by split, and how many rejected by rule; a pair may fail several."""
    accepted = pairs.filter(pc.equal(pairs["verdict"], "accepted"))
    rejected = pairs.filter(pc.equal(pairs["verdict"], "rejected"))
    splits = Counter(accepted["split"].to_pylist())
    # Figures differ from pair to pair ("no data on 31%"): what counts is the rule, the words around them.
    rules = Counter(NUMBER.sub("…", each) for row in rejected["reasons"].to_pylist() for each in dict.fromkeys(row))
    return {
        "published": Counter({name: splits[name] for name in SCHEMA.splits}),
        "rejected": rules,
        "all": Counter(rejected=rejected.num_rows),
    }


def _rejections(counts: Mapping[str, Counter[str]]) -> str:
    rules = ", ".join(f"{rule} {count:,}" for rule, count in counts["rejected"].most_common())
    return f", {counts['all']['rejected']:,} rejected ({rules})" if rules else ""


def _nothing(counts: Mapping[str, Counter[str]], refused: Mapping[str, str], workspace: Path) -> str:
    """Return why there is nothing to publish."""
    why = [f"{len(refused)} sites were refused, such as {name}: {reason}" for name, reason in list(refused.items())[:1]]
    why += [f"all {counts['all']['rejected']:,} pairs were rejected{_rejections(counts)}"] if counts["rejected"] else []
    old = ". The release of an earlier run is left as it was" if (workspace / FOLDER).exists() else ""
    return f"not one pair to publish: {'; '.join(why) or 'no pair was cut'}. Nothing was published{old}"


def possible_formats(tiles: pa.Table) -> tuple[Format, ...]:
    """Return every format that a release of these tiles can have at little cost: no COGs, which write every raster once
    more, and no folders if tiles have no files of their own."""
    filed = "npy" not in pc.unique(tiles["format"]).to_pylist()
    left_out = {Format.COGS} if filed else {Format.COGS, Format.FOLDERS}
    return tuple(name for name in Format if name not in left_out)


def join_pairs(
    tiles: pa.Table, clean: pa.Table, split: pa.Table, rasters: Iterable[RasterPair]
) -> tuple[pa.Table, pa.Table]:
    """Join the rows of tiles with verdicts, splits and facts of their rasters.

    Args:
        tiles: Table of `stages.tables.PAIRS`; its order is kept.
        clean: Table of `stages.tables.CLEAN`, in any order; further rows are left out.
        split: Table of `stages.tables.SPLIT`, in any order; further rows are left out.
        rasters: The raster pairs that tiles were cut from.

    Returns:
        What the catalog wants: the table of pairs and the table of sources.

    Raises:
        PermanentError: A pair has no verdict, no split or no raster pair.
    """
    verdicts = _rows_of(tiles["pair_id"], clean, "pair_id", "the table of verdicts (stage clean)")
    splits = _rows_of(tiles["pair_id"], split, "pair_id", "the table of splits (stage split)")
    pair_of_tile = pc.binary_join_element_wise(tiles["point_id"], tiles["site_id"], "_")
    facts = _rows_of(pair_of_tile, _raster_table(rasters), "id", "the aligned raster pairs (stages acquire and align)")
    given = {
        "verdict": verdicts["verdict"],
        "reasons": verdicts["reasons"],
        "split": splits["split"],
        # What a person says of a pair itself goes before what is said of its raster pair.
        "review": pc.coalesce(verdicts["review"], facts["review"]),
        "reviewed_by": pc.coalesce(verdicts["operator"], facts["reviewed_by"]),
    }
    columns = {"gsd": pa.array(_gsd(tiles)), **given}
    for name in SCHEMA.columns.names:
        if name not in columns:
            columns[name] = tiles[name] if name in PAIRS.names else facts[name]
    sources = [tiles["pair_id"], tiles["map_path"], tiles["visible_path"], tiles["index"]]
    return pa.table(columns), pa.table(sources, names=SCHEMA.sources.names)


def _outputs(results: Mapping[str, Result], suffix: str) -> list[tuple[str, str]]:
    return [
        (entry.path, entry.digest)
        for result in results.values()
        for entry in result.outputs
        if entry.path.endswith(suffix)
    ]


def _raster_pairs(run: RunView) -> Iterable[dict[str, Any]]:
    """Yield what a release keeps of each raster pair that tiles were cut from, JSON-able."""
    for name, aligned in run.read("align").items():
        review = review_of(run, name, aligned.outcome is Outcome.DONE)
        if not review.cut or not aligned.outputs:
            continue
        alignment = {key: aligned.data.get(key) for key in ("homography", "method", "residual_px", "inliers")}
        sides = {}
        for side in SIDES:
            acquired = run.read("acquire")[f"{name}/{side}"]
            (file,) = [entry for entry in acquired.outputs if entry.path == acquired.data["path"]]
            kept = {key: acquired.data[key] for key in _RASTER_FACTS}
            sides[side] = kept | {"file": file.path, "size": file.size, "nodata": acquired.data["nodata_share"]}
        alignment["regions"] = _region_facts(aligned.data.get("regions") or [])
        said = {
            key: getattr(review, key) for key in ("review", "operator", "operators", "operator_px", "inter_operator_px")
        }
        evidence = [entry.path for entry in aligned.outputs]
        yield {"name": name, **alignment, **sides, "evidence": evidence, "review": said}


def _region_facts(regions: Sequence[Mapping[str, Any]]) -> dict[str, float | int | None]:
    """Sum up the regions of an alignment; nothing where it was judged as a whole."""
    if not regions:
        return {}
    accepted = [region for region in regions if region["accepted"]]
    predicted = [region["predicted_px"] for region in accepted if region["predicted_px"] is not None]
    return {
        "accepted": len(accepted),
        "refused": len(regions) - len(accepted),
        "reliable_windows": sum(region["inliers"] for region in accepted),
        "predicted_median_px": statistics.median(predicted) if predicted else None,
        "predicted_worst_px": max(predicted, default=None),
    }


def _refused(run: RunView) -> list[tuple[str, str]]:
    """Return the sites of which nothing can be published, and why."""
    return [(name, result.reason) for name, result in run.read("align").items() if result.outcome is not Outcome.DONE]


def _raster_pair(facts: Mapping[str, Any], workspace: Path, strata: Mapping[tuple[str, str], str]) -> RasterPair:
    point_id, site_id = facts["name"].split("/")
    grid = Grid.from_json({**facts["visible"]})
    return RasterPair(
        point_id=point_id,
        site_id=site_id,
        map=_raster(facts["map"], workspace),
        visible=_raster(facts["visible"], workspace),
        footprint=shapely.to_wkb(grid.footprint()),
        gsd=grid.gsd,
        homography=tuple(np.ravel(facts["homography"]).tolist()),
        method=facts["method"],
        residual_px=facts["residual_px"],
        inliers=facts["inliers"],
        stratum=strata.get((point_id, site_id), ""),
        review=facts["review"]["review"],
        reviewed_by=facts["review"]["operator"],
        operators=tuple(facts["review"]["operators"]),
        operator_px=tuple(facts["review"]["operator_px"]),
        inter_operator_px=facts["review"]["inter_operator_px"],
        regions=facts["regions"],
        evidence=tuple(workspace / path for path in facts["evidence"]),
    )


def _raster(facts: Mapping[str, Any], workspace: Path) -> Raster:
    return Raster(
        file=workspace / facts["file"],
        digest=facts["digest"],
        size=facts["size"],
        width=facts["width"],
        height=facts["height"],
        crs=facts["crs"],
        transform=tuple(facts["transform"]),
        source=facts["source"],
        licence=facts["licence"],
        attribution=facts["attribution"],
        date=facts["date"] or "",
        nodata_share=facts["nodata"],
    )


def _raster_table(rasters: Iterable[RasterPair]) -> pa.Table:
    rows = [
        {"id": pair.id, "stratum": pair.stratum}
        | {"review": pair.review or None, "reviewed_by": pair.reviewed_by or None}
        | {"operators": pair.operators, "operator_px": pair.operator_px, "inter_operator_px": pair.inter_operator_px}
        | {
            f"{side}_{name}": value
            for side, raster in pair.sides.items()
            for name, value in {
                "source": raster.source,
                "licence": raster.licence,
                "attribution": raster.attribution,
                "date": raster.date,
                "raster": raster.digest,
            }.items()
        }
        for pair in rasters
    ]
    facts = [name for name in SCHEMA.columns.names if name.endswith(("_source", "_licence", "_attribution", "_date"))]
    names = ["id", "stratum", *facts, "map_raster", "visible_raster"]
    measured = [(name, SCHEMA.columns.field(name).type) for name in _OF_PEOPLE]
    return pa.Table.from_pylist(rows, pa.schema([*((name, pa.string()) for name in names), *measured]))


def _rows_of(keys: pa.ChunkedArray, table: pa.Table, column: str, what: str) -> pa.Table:
    """Return the rows of `table` in the order of `keys`, found by `column`."""
    index = pc.index_in(keys, table[column])
    if index.null_count:
        lost = keys.filter(pc.is_null(index))
        raise PermanentError(
            f"{len(lost)} pairs, such as {lost[0].as_py()}, are not in {what}; run these stages again first"
        )
    return table.take(index)


def _gsd(tiles: pa.Table) -> NDArray[np.float64]:
    """Return metres on the ground per pixel (N,): the mean of both sides of each footprint, over its size."""
    if not tiles.num_rows:
        return np.empty(0)
    corners = shapely.get_coordinates(shapely.from_wkb(tiles["geometry"].to_numpy())).reshape(tiles.num_rows, -1, 2)
    lon, lat = corners[..., 0], corners[..., 1]
    sides = [_GEOD.inv(lon[:, 0], lat[:, 0], lon[:, other], lat[:, other])[2] for other in (1, 3)]
    return np.asarray(np.sqrt(sides[0] * sides[1]) / tiles["size"].to_numpy(), np.float64)
