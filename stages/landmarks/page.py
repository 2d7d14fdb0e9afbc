"""A page to look at a release of landmarks: a map of all, and for each its images by year, its text and its licences.

One HTML file without scripts from elsewhere; images are those of the release, loaded as they come into view.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.landmarks.model import Landmark
from catalog.model import MANIFEST_NAME
from pipeline.files import write_bytes
from stages.landmarks.left_out import LeftOut

MOST_CARDS = 1000
"""Landmarks that are shown with their images; a page of all 18,557 of a country would have some 120 MB."""

_COLOURS = {"train": "#2b6cb0", "query": "#c05621"}


def write_page(path: Path, release: Path, title: str, landmarks: Sequence[Landmark], rejected: LeftOut) -> None:
    """Write the page.

    Args:
        path: Where the HTML file goes; its images are named relative to it.
        release: Folder of the release.
        title: Of the dataset.
        landmarks: Those of the release.
        rejected: What is no part of it.
    """
    columns = [
        "image_id", "landmark_id", "modality", "verdict", "reasons", "flags", "title", "year", "image_path",
        "image_licence", "image_attribution",
    ]  # fmt: skip
    images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    verdicts: dict[str, int] = defaultdict(int)
    # Landmarks come in the order of their ids, which are digests: some of them are a sample of all.
    shown = landmarks[:MOST_CARDS]
    manifest = release / MANIFEST_NAME
    for count in pc.value_counts(pq.read_table(manifest, columns=["verdict"])["verdict"]).to_pylist():
        verdicts[count["values"]] = count["counts"]
    chosen = pc.field("landmark_id").isin([landmark.id for landmark in shown])
    for row in pq.read_table(manifest, columns=columns, filters=chosen).to_pylist():
        row["href"] = os.path.relpath(release / row["image_path"], path.parent) if row["image_path"] else ""
        images[row["landmark_id"]].append(row)
    for rows in images.values():
        rows.sort(key=lambda row: (row["year"] or 0, row["image_id"]))
    # A degree of longitude is drawn as long as it is in the middle of the map.
    middle = math.cos(math.radians(sum(each.lonlat[1] for each in landmarks) / max(len(landmarks), 1)))
    places = [(round(each.lonlat[0] * middle, 5), round(-each.lonlat[1], 5)) for each in landmarks]
    (west, east), (north, south) = (
        (min((place[axis] for place in places), default=0.0), max((place[axis] for place in places), default=0.0))
        for axis in (0, 1)
    )
    margin = max(east - west, south - north, 0.01) * 0.04
    view = (west - margin, north - margin, east - west + 2 * margin, south - north + 2 * margin)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    page = environment.get_template("page.html.j2").render(
        title=title, landmarks=landmarks, shown=shown, images=images, places=places, colours=_COLOURS,
        counts=dict(sorted(Counter(each.split for each in landmarks).items())), accepted=verdicts["accepted"],
        rejected=verdicts["rejected"], left_out=rejected.groups, refused=defaultdict(list, rejected.refused),
        radius=round(margin / 8, 5), view=" ".join(f"{value:.5f}" for value in view),
    )  # fmt: skip
    write_bytes(path, page.encode())
