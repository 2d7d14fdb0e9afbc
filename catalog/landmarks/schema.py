"""The schema of landmarks: a record is an image; an original is a landmark."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from catalog.dates import union
from catalog.errors import CatalogError
from catalog.landmarks.bundles import landmark_bundles
from catalog.landmarks.columns import IMAGES
from catalog.landmarks.model import Landmark
from catalog.manifest import published
from catalog.model import Contents, Format, Json, Placed
from catalog.schema import Credit, Role, Schema
from catalog.stac import make_item, time_properties

_FREE = (
    *("CC0-", "CC-BY-", "Public-Domain", "public domain", "Apache-", "ODbL-"),
    # of public imagery
    *("OGD-CH", "Licence Ouverte", "DL-DE-BY-", "DL-DE-ZERO-", "OGL-", "NLOD-"),
)
_FORBIDDEN = ("NC", "ND")

_TASKS = """\
Photographs, aerial images, texts and coordinates of a landmark share its `landmark_id`. Landmarks of the split
`query` ask; the galleries are their images of the other modality with the distractors of the split `index`. Landmarks
of different splits lie apart, and no image is nearly the same as one of another split."""


def is_free(licence: str) -> bool:
    """Tell whether images of a licence may be published: open ones, without a word against changes or commerce."""
    parts = licence.upper().replace("_", "-").split("-")
    return (licence == "CC-BY" or licence.startswith(_FREE)) and not any(part in _FORBIDDEN for part in parts)


class LandmarkSchema(Schema[Landmark]):
    """Images of landmarks and distractors, split by landmark."""

    name: ClassVar[str] = "images"
    noun: ClassVar[str] = "image"
    key: ClassVar[str] = "image_id"
    group: ClassVar[str] = "landmark_id"
    order: ClassVar[tuple[str, ...]] = ("split", "modality", "landmark_id", "image_id")
    splits: ClassVar[tuple[str, ...]] = ("train", "query", "index")
    columns: ClassVar[pa.Schema] = IMAGES
    roles: ClassVar[tuple[Role, ...]] = (Role("image", "images/{modality}/{landmark_id}/{image_id}"),)
    summaries: ClassVar[tuple[str, ...]] = ("mapdata:category", "mapdata:state")
    advice: ClassVar[str] = "Train on `train`"
    splitting: ClassVar[str] = "Landmarks are split by place, so that no landmark and no ground is seen in two splits."
    keywords: ClassVar[tuple[str, ...]] = ("cross-view retrieval", "geolocation", "landmarks", "aerial imagery")
    tags: ClassVar[tuple[str, ...]] = ("image-retrieval", "geolocation", "remote-sensing", "landmarks")
    holds: ClassVar[Mapping[Format, str]] = {
        Format.FOLDERS: "`images/<modality>/<landmark>/*` photographs and aerial images; `landmarks.parquet`: a row a "
        "landmark; `texts.parquet`: a row a landmark and language",
        Format.STAC: "`stac/catalog.json` a static STAC catalog: an item a landmark; `stac/images.parquet`: an image",
    }
    loading: ClassVar[tuple[str, ...]] = (
        'from mapdata import open_dataset\n\ntrain = open_dataset("PATH", split="train")  # a PyTorch Dataset\n'
        'image = train[0]["image"]  # (3, height, width) float32 in [0, 1]; sizes differ',
    )

    def check(self, contents: Contents[Landmark], manifest: pa.Table) -> None:
        """Raise CatalogError if an image may not be published, or belongs to no landmark that is given."""
        for fault in self.faults(manifest):
            raise CatalogError(f"{fault}; reject it")
        rows = published(manifest, ["landmark_id", "distractor"])
        own = rows.filter(pc.invert(rows["distractor"]))
        lost = sorted(set(pc.unique(own["landmark_id"]).to_pylist()) - {landmark.id for landmark in contents.originals})
        if lost:
            raise CatalogError(f"no landmark is given for {', '.join(lost[:5])}, though images belong to it")

    def faults(self, manifest: pa.Table) -> Iterator[str]:
        """Yield the licences that allow no publication, and images without the facts that a licence asks for."""
        rows = published(manifest, ["image_id", "image_licence", "image_attribution", "image_source"])
        for licence in sorted(pc.unique(rows["image_licence"]).to_pylist()):
            if not is_free(licence):
                key = rows.filter(pc.equal(rows["image_licence"], licence))["image_id"][0]
                yield f"the licence {licence!r}, of image {key} and perhaps others, does not allow to publish it"
        wanted = {
            "image_attribution": (r"\S", "credit"),
            "image_source": (r"^[A-Za-z][A-Za-z0-9+.-]*:\S", "URL or URN"),
        }
        for name, (pattern, what) in wanted.items():
            bare = rows.filter(pc.invert(pc.match_substring_regex(rows[name], pattern)))["image_id"]
            if len(bare):
                yield f"{len(bare)} images, such as {bare[0]}, have no {what} in {name!r}"

    def tables(self, contents: Contents[Landmark]) -> Mapping[str, pa.Table]:
        """Return the tables of landmarks and of texts, a row a landmark and language; `main` marks one a landmark."""
        landmarks = [
            {"landmark_id": each.id, "split": each.split, "lon": each.lonlat[0], "lat": each.lonlat[1], **each.facts}
            for each in contents.originals
        ]
        texts = [
            {
                "landmark_id": each.id,
                "split": each.split,
                "language": text.language,
                "main": text is each.text,
                "sentence": text.sentence,
                "sections": json.dumps(dict(text.sections), ensure_ascii=False),
                "licence": text.licence,
                "attribution": text.attribution,
                "source_url": text.url,
            }
            for each in contents.originals
            for text in each.texts
        ]
        return {"landmarks.parquet": pa.Table.from_pylist(landmarks), "texts.parquet": pa.Table.from_pylist(texts)}

    def original_id(self, original: Landmark) -> str:
        """Return the landmark's id."""
        return original.id

    def items(
        self, contents: Contents[Landmark], manifest: pa.Table, placed: Mapping[str, list[Placed]]
    ) -> Iterator[Json]:
        """Yield an item a landmark."""
        columns = ["landmark_id", "modality", "image_date"]
        found = published(manifest, columns).group_by(columns, use_threads=False).aggregate([([], "count_all")])
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        dates: dict[str, list[str]] = defaultdict(list)
        for row in found.to_pylist():
            counts[row["landmark_id"]][row["modality"]] += row["count_all"]
            dates[row["landmark_id"]].append(row["image_date"])
        for landmark in contents.originals:
            properties: Json = {
                **time_properties(union(dates[landmark.id])),
                "title": landmark.facts["name"],
                "mapdata:split": landmark.split,
                "mapdata:images": dict(sorted(counts[landmark.id].items())),
                "mapdata:sentence": landmark.text.sentence,
                **{f"mapdata:{name}": value for name, value in landmark.facts.items() if name != "name"},
            }
            yield make_item(landmark.id, landmark.footprint, properties, {}, [], contents.about.title)

    def parents(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return the id of each image's landmark."""
        return rows["landmark_id"]

    def record_fields(self, rows: pa.Table) -> Mapping[str, Any]:
        """Return what is known of each image."""
        names = ("landmark_id", "modality", "split", "year", "author", "flags")
        return {f"mapdata:{name}": rows[name] for name in names}

    def bundles(
        self, release: Path, rows: pa.Table
    ) -> Iterator[tuple[str, Json, list[tuple[str, str, Mapping[str, Any]]]]]:
        """Yield a sample a landmark with all its images, and one a distractor; see `catalog.landmarks.bundles`."""
        return landmark_bundles(release, rows)

    def facts(self, contents: Contents[Landmark]) -> Json:
        """Return the number of landmarks by split."""
        return {"landmarks": dict(sorted(Counter(landmark.split for landmark in contents.originals).items()))}

    def credits(self, contents: Contents[Landmark]) -> Iterator[Credit]:
        """Yield whom to name for texts and for kinds of images; single authors stand in the manifest."""
        for landmark in contents.originals:
            for text in landmark.texts:
                host = text.url.split("/")[2] if "//" in text.url else ""
                yield Credit("text", host, text.licence, text.attribution, "")
        kinds = contents.records.group_by(["modality", "image_licence"]).aggregate([]).to_pylist()
        for modality, licence in sorted((kind["modality"], kind["image_licence"]) for kind in kinds):
            yield Credit(modality, "see the columns of the manifest", licence, "see the column image_attribution", "")

    def sections(self) -> Mapping[str, str]:
        """Return how images and tasks relate."""
        return {"Tasks": _TASKS}

    def provenance(self, contents: Contents[Landmark]) -> str:
        """Say how many landmarks there are."""
        return f"{len(contents.originals)} landmarks (seed {contents.about.seed})."

    def sample(self, row: Mapping[str, Any], images: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the image with its ids."""
        names = ("image_id", "landmark_id", "modality", "split", "year")
        return {"image": images["image"], **{name: row[name] for name in names}}
