"""The dataset card: the release's README, with the front matter that dataset hubs read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from catalog.manifest import published
from catalog.model import Contents, Format
from catalog.schema import markdown

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_HOLDS = {
    Format.FOLDERS: "`MapData/<point>/<site>/L/*` the map images, `R/*` the visible images of the same names",
    Format.ZARR: "`mapdata.zarr` the images as two arrays `map` and `visible` (N, size, size, 3), Zarr v3, sharded",
    Format.RASTERS: "`rasters/<point>/<site>/{map,visible}.tif` the raster pairs that the images were cut from",
    Format.STAC: "`stac/catalog.json` a static STAC catalog: an item a raster pair; `stac/pairs.parquet`: one a pair",
}


def write_card(path: Path, contents: Contents, manifest: pa.Table, formats: frozenset[Format]) -> None:
    """Write the card of a release as Markdown."""
    about = contents.about
    sections = [
        _front_matter(contents, manifest),
        f"# {about.title}\n\n{about.description}",
        f"Version {about.version}. Licence of the whole: {about.licence}. Made by {about.creator}"
        + (f", {about.url}." if about.url else "."),
        "## Contents\n\n" + _counts(manifest) + "\n\n" + _files(formats),
        "## Ground truth\n\n" + _TRUTH,
        "## Sources and attribution\n\n" + _sources(contents),
        "## Splits and benchmark\n\n" + _splits(contents),
        "## Rejected pairs\n\n" + _rejected(manifest),
        "## Loading\n\n" + _loading(formats),
        "## The manifest\n\n`manifest.parquet` is GeoParquet 1.1, ordered by point, site, row and column.\n\n"
        + markdown(),
        "## How it was made\n\n" + _provenance(contents),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


_TRUTH = """\
The two images of a pair show the same ground and lie on each other, as well as their rasters were aligned: the
homography between them is the identity. The column `homography` holds the transform by which the whole map raster was
laid on the visible raster; `residual_px`, `inliers` and `method` say how well it fits and what found it, so that pairs
can be chosen by quality. Pixel (0, 0) is the centre of the top-left pixel."""


def _front_matter(contents: Contents, manifest: pa.Table) -> str:
    count = published(manifest).num_rows
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    size = next((name for limit, name in bounds if count < limit), "n>1M")
    licence = contents.about.licence.lower()
    tags = ["image-matching", "remote-sensing", "maps", "homography-estimation"]
    lines = [
        f"pretty_name: {_quoted(contents.about.title)}",
        f"license: {licence}",
        f"size_categories: [{size}]",
        f"tags: [{', '.join(tags)}]",
    ]
    return "\n".join(["---", *lines, "---"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _counts(manifest: pa.Table) -> str:
    rows = published(manifest)
    lines = ["| split | points | pairs |", "|---|---:|---:|"]
    for name in ("train", "val", "test"):
        chosen = rows.filter(pc.equal(rows["split"], name))
        lines.append(f"| {name} | {pc.count_distinct(chosen['point_id']).as_py()} | {chosen.num_rows} |")
    lines.append(f"| rejected | | {manifest.num_rows - rows.num_rows} |")
    return "\n".join(lines)


def _files(formats: frozenset[Format]) -> str:
    always = [
        "`manifest.parquet` every pair, rejected ones with their reasons",
        "`croissant.json` Croissant metadata, `checksums.b3` BLAKE3 of every file (`b3sum --check checksums.b3`)",
    ]
    return "\n".join(f"- {text}" for text in [*always, *(_HOLDS[name] for name in Format if name in formats)])


def _sources(contents: Contents) -> str:
    used: Counter[tuple[str, ...]] = Counter()
    for pair in contents.rasters:
        for side, raster in (("map", pair.map), ("visible", pair.visible)):
            used[side, raster.source, raster.licence, raster.attribution, raster.date or "unknown"] += 1
    lines = ["| side | source | licence | attribution | date | rasters |", "|---|---|---|---|---|---:|"]
    for facts, count in sorted(used.items()):
        lines.append("| " + " | ".join(_cell(fact) for fact in facts) + f" | {count} |")
    return "\n".join(lines) + "\n\nWhoever shows or passes on these images prints the attribution beside them."


def _splits(contents: Contents) -> str:
    benchmark = contents.about.benchmark
    results = benchmark.results
    text = (
        "Pairs are split by sampling point, never by tile, so that no ground is seen in two splits. Train on `train`, "
        f"choose on `val`; the benchmark is the split `{benchmark.split}`."
    )
    if not results:
        return text
    text += f" {benchmark.note}." if benchmark.note else ""
    figures = list(dict.fromkeys(figure for row in results.values() for figure in row))
    lines = ["| matcher | " + " | ".join(figures) + " |", "|---|" + "---:|" * len(figures)]
    for matcher, row in sorted(results.items()):
        values = [f"{row[figure]:.4g}" if figure in row else "" for figure in figures]
        lines.append(f"| {_cell(matcher)} | " + " | ".join(values) + " |")
    return text + "\n\n" + "\n".join(lines)


def _rejected(manifest: pa.Table) -> str:
    rejected = manifest.filter(pc.equal(manifest["verdict"], "rejected"))
    # Figures differ from pair to pair ("no data on 31%"): what counts is the rule, the words around them.
    reasons = Counter(
        _NUMBER.sub("…", reason) for row in rejected["reasons"].to_pylist() for reason in dict.fromkeys(row)
    )
    if not reasons:
        return "None."
    lines = ["A pair may fail several rules.", "", "| reason | pairs |", "|---|---:|"]
    lines += [f"| {_cell(reason)} | {count} |" for reason, count in sorted(reasons.items())]
    return "\n".join(lines)


def _loading(formats: frozenset[Format]) -> str:
    blocks = [
        'from mapdata import open_dataset\n\ntrain = open_dataset("PATH", split="train")  # a PyTorch Dataset\n'
        'pair = train[0]  # pair["map"], pair["visible"]: (3, size, size) float32 in [0, 1]',
        'import geopandas\n\npairs = geopandas.read_parquet("PATH/manifest.parquet")\n'
        'good = pairs[(pairs.verdict == "accepted") & (pairs.residual_px < 2)]',
    ]
    if Format.ZARR in formats:
        blocks.append('import zarr\n\nstore = zarr.open_group("PATH/mapdata.zarr", mode="r")\nimage = store["map"][0]')
    if Format.STAC in formats:
        blocks.append(
            'import pystac\n\nitems = pystac.Catalog.from_file("PATH/stac/catalog.json").get_items(recursive=True)'
        )
    return "\n\n".join(f"```python\n{block}\n```" for block in blocks)


def _provenance(contents: Contents) -> str:
    software = ", ".join(f"{name} {version}" for name, version in sorted(contents.about.software.items()))
    methods = ", ".join(sorted({pair.method for pair in contents.rasters})) or "none"
    return (
        f"{len(contents.rasters)} raster pairs of {len({pair.point_id for pair in contents.rasters})} sampling points "
        f"(seed {contents.about.seed}), aligned by: {methods}. Made with {software}. The same inputs and seed give "
        "this release byte by byte."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
