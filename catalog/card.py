"""The dataset card: the release's README, with the front matter that dataset hubs read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from catalog.errors import CatalogError
from catalog.hub import hub_configs
from catalog.manifest import published
from catalog.model import Benchmark, Contents, Format, Json
from catalog.schema import Schema, markdown
from catalog.text import escaped

NUMBER = re.compile(r"\d+(?:\.\d+)?")
"""A figure in a reason; reasons that differ in figures only are counted together."""


def write_card(
    schema: Schema[Any], path: Path, contents: Contents[Any], manifest: pa.Table, formats: frozenset[Format]
) -> None:
    """Write the card of a release as Markdown.

    Args:
        schema: Gives the sections that explain the records.
        path: Where to, `CARD_NAME` in the release.
        contents: What the release is built from; its texts are escaped.
        manifest: As `make_manifest` returns it; numbers of the card are counted from it.
        formats: Those of the release: each has its files and an example of loading described.
    """
    about = contents.about
    sections = [
        _front_matter(schema, contents, manifest, formats),
        f"# {escaped(about.title)}\n\n{escaped(about.description)}",
        f"Version {escaped(about.version)}. Licence of the whole: {about.licence}. Made by {escaped(about.creator)}"
        + (f", {escaped(about.url)}." if about.url else "."),
        "## Contents\n\n" + _counts(schema, manifest) + "\n\n" + _files(schema, formats),
        *(f"## {heading}\n\n{text}" for heading, text in {**schema.sections(), **schema.findings(contents)}.items()),
        "## Sources and attribution\n\n" + _sources(schema, contents),
        "## Splits and benchmark\n\n" + _splits(schema, about.benchmark),
        f"## Rejected {schema.name}\n\n" + _rejected(schema, manifest),
        *(["## Left out\n\n" + _left_out(about.left_out)] if about.left_out else []),
        "## Loading\n\n" + _loading(schema, formats),
        "## The manifest\n\n`manifest.parquet` is GeoParquet 1.1, ordered by "
        + ", ".join(f"`{name}`" for name in schema.order)
        + ".\n\n"
        + markdown(schema.manifest),
        "## How it was made\n\n" + _provenance(schema, contents),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


_OF_THE_RELEASE = ("Contents", "Loading", "The manifest")


def card_of_export(card: str, configs: list[Json], example: str) -> str:
    """Return the card of a release for a folder that was made of it, such as shards.

    Args:
        card: Of the release; sections on its own files are left out.
        configs: Of the front matter, where dataset hubs find the splits; empty if they cannot.
        example: Python by which the folder is read.

    Raises:
        CatalogError: The card is none of a release.
    """
    matter, mark, body = card.removeprefix("---\n").partition("\n---\n")
    if not mark:
        raise CatalogError("README.md of the release has no front matter; build the release again")
    front = yaml.safe_dump(yaml.safe_load(matter) | {"configs": configs}, sort_keys=False, allow_unicode=True)
    first, *sections = body.strip().split("\n\n## ")
    kept = [each for each in sections if each.partition("\n")[0] not in _OF_THE_RELEASE]
    kept.append(f"Loading\n\n```python\n{example}\n```")
    return f"---\n{front}---\n\n" + "\n\n## ".join([first, *kept]) + "\n"


def _front_matter(schema: Schema[Any], contents: Contents[Any], manifest: pa.Table, formats: frozenset[Format]) -> str:
    # Five fields of YAML: `huggingface_hub` would write the same, and bring a client of the hub into every release.
    count = published(manifest, ["verdict"]).num_rows
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    matter: Json = {
        "pretty_name": contents.about.title,
        "license": contents.about.licence.lower(),
        "size_categories": [next((name for limit, name in bounds if count < limit), "n>1M")],
        "tags": list(schema.tags),
    }
    if Format.FOLDERS in formats:
        matter["configs"] = hub_configs(schema, manifest)
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


def _counts(schema: Schema[Any], manifest: pa.Table) -> str:
    rows = published(manifest, ["split", schema.group])
    lines = [f"| split | {schema.group.removesuffix('_id')}s | {schema.name} |", "|---|---:|---:|"]
    for name in schema.splits:
        chosen = rows.filter(pc.equal(rows["split"], name))
        lines.append(f"| {name} | {pc.count_distinct(chosen[schema.group]).as_py()} | {chosen.num_rows} |")
    lines.append(f"| rejected | | {manifest.num_rows - rows.num_rows} |")
    return "\n".join(lines)


def _files(schema: Schema[Any], formats: frozenset[Format]) -> str:
    always = [
        f"`manifest.parquet` every {schema.noun}, rejected ones with their reasons",
        "`croissant.json` Croissant metadata, `checksums.b3` BLAKE3 of every file (`b3sum --check checksums.b3`)",
    ]
    if Format.FOLDERS in formats:
        always.append(f"`{schema.name}-<split>.parquet` the {schema.name} of a split, for Hugging Face `datasets`")
    return "\n".join(
        f"- {text}"
        for text in [*always, *(schema.holds[name] for name in Format if name in formats & schema.holds.keys())]
    )


def _sources(schema: Schema[Any], contents: Contents[Any]) -> str:
    used = Counter(schema.credits(contents))
    lines = ["| role | source | licence | attribution | date | count |", "|---|---|---|---|---|---:|"]
    for credit, count in sorted(used.items()):
        facts = (credit.role, credit.source, credit.licence, credit.attribution, credit.date or "unknown")
        lines.append("| " + " | ".join(escaped(fact) for fact in facts) + f" | {count} |")
    return "\n".join(lines) + "\n\nWhoever shows or passes on these images prints the attribution beside them."


def _splits(schema: Schema[Any], benchmark: Benchmark) -> str:
    results = benchmark.results
    text = f"{schema.splitting} {schema.advice}; the benchmark is the split `{benchmark.split}`."
    if not results:
        return text
    text += f" {escaped(benchmark.note)}." if benchmark.note else ""
    figures = list(dict.fromkeys(figure for row in results.values() for figure in row))
    lines = ["| method | " + " | ".join(map(escaped, figures)) + " |", "|---|" + "---:|" * len(figures)]
    for method, row in sorted(results.items()):
        values = [f"{row[figure]:.4g}" if figure in row else "" for figure in figures]
        lines.append(f"| {escaped(method)} | " + " | ".join(values) + " |")
    return text + "\n\n" + "\n".join(lines)


def _rejected(schema: Schema[Any], manifest: pa.Table) -> str:
    rejected = manifest.select(["reasons"]).filter(pc.equal(manifest["verdict"], "rejected"))
    # Figures differ from record to record ("no data on 31%"): what counts is the rule, the words around them.
    reasons = Counter(
        NUMBER.sub("…", reason) for row in rejected["reasons"].to_pylist() for reason in dict.fromkeys(row)
    )
    if not reasons:
        return "None."
    lines = [f"A {schema.noun} may fail several rules.", "", f"| reason | {schema.name} |", "|---|---:|"]
    lines += [f"| {escaped(reason)} | {count} |" for reason, count in sorted(reasons.items())]
    return "\n".join(lines)


def _left_out(left_out: Mapping[str, str]) -> str:
    lines = ["Of these nothing is published.", "", "| name | reason |", "|---|---|"]
    return "\n".join(lines + [f"| {escaped(name)} | {escaped(reason)} |" for name, reason in left_out.items()])


def _loading(schema: Schema[Any], formats: frozenset[Format]) -> str:
    blocks = [*schema.loading]
    if Format.FOLDERS in formats:
        blocks.append('from datasets import load_dataset\n\nimages = load_dataset("PATH")["train"]')
    if Format.ZARR in formats:
        opened = 'import zarr\n\nstore = zarr.open_group("PATH/mapdata.zarr", mode="r")'
        blocks.append(f'{opened}\nimage = store["{schema.images[0]}"][0]')
    if Format.STAC in formats:
        blocks.append(
            'import pystac\n\nitems = pystac.Catalog.from_file("PATH/stac/catalog.json").get_items(recursive=True)'
        )
    return "\n\n".join(f"```python\n{block}\n```" for block in blocks)


def _provenance(schema: Schema[Any], contents: Contents[Any]) -> str:
    software = ", ".join(
        f"{escaped(name)} {escaped(version)}" for name, version in sorted(contents.about.software.items())
    )
    return (
        f"{schema.provenance(contents)} Made with {software}. The same inputs and seed give this release byte by byte."
    )
