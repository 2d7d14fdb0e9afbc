"""A page to look at a release of landmarks: a map of all, and for each its images by year, its text and its licences.

One HTML file without scripts from elsewhere; images are those of the release, loaded as they come into view.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.landmarks.model import Landmark
from catalog.model import MANIFEST_NAME
from pipeline.files import write_bytes

MOST_CARDS = 1000
"""Landmarks that are shown with their images; a page of all 18,557 of a country would have some 120 MB."""

_TEMPLATE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; style-src
'unsafe-inline'"> <title>{{ title }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1180px; padding: 1rem; color: #1b1f24; }
h1 { margin: .2rem 0; } h2 { font-size: 1.05rem; margin: 0; }
svg { width: 100%; max-height: 300px; background: #eef3f6; border-radius: 6px; }
article { border: 1px solid #d6dbe0; border-radius: 6px; padding: .8rem; margin: .8rem 0; content-visibility: auto;
contain-intrinsic-size: 420px; } .row { display: flex; gap: .5rem; overflow-x: auto; padding: .3rem 0; }
figure { margin: 0; flex: none; width: 200px; } figure img { width: 200px; height: 150px; object-fit: cover;
border-radius: 4px; } figcaption { font-size: 12px; color: #4a5560; overflow-wrap: anywhere; }
.facts { color: #4a5560; font-size: 13px; } .train { background: #e4efff; } .query { background: #ffeed6; }
.tag { border-radius: 4px; padding: 0 .4em; font-size: 12px; }
.rejected img { opacity: .45; } .rejected figcaption { color: #9a2f1d; }
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ landmarks|length }} landmarks ({% for split, count in counts.items() %}{{ count }} {{ split }}{{ ", " if not
loop.last }}{% endfor %}), {{ accepted }} images published, {{ rejected }} rejected.</p>
<svg viewBox="{{ view }}" role="img" aria-label="Places of the landmarks">
{% for dot in dots %}<a href="#{{ dot.id }}"><circle cx="{{ dot.x }}" cy="{{ dot.y }}" r="{{ radius }}" fill="{{
dot.colour }}" fill-opacity=".75"><title>{{ dot.name }}</title></circle></a> {% endfor %}</svg>
{% if shown|length < landmarks|length %}<p>The map has all landmarks; below are {{ shown|length }} of
them.</p>{% endif %}
{% for landmark in shown %}
<article id="{{ landmark.id }}">
<h2>{{ landmark.facts.name }} <span class="tag {{ landmark.split }}">{{ landmark.split }}</span></h2>
<p class="facts">{{ landmark.facts.category }} · {{ landmark.facts.state }} · {{ "%.5f"|format(landmark.lonlat[1]) }},
{{ "%.5f"|format(landmark.lonlat[0]) }} · {{ landmark.facts.qid }} · {{ landmark.facts.osm_type }} {{
landmark.facts.osm_id }}</p> <p>{{ landmark.sections[""] }} <span class="facts">({{ landmark.text_licence }}, {{
landmark.text_attribution }})</span></p> {% for modality in ("satellite", "ground") %}<div class="row"> {% for image in
images[landmark.id] if image.modality == modality and image.verdict == "accepted" %}<figure><img loading="lazy" src="{{
image.href }}" alt="{{ image.title or image.year }}"><figcaption>{{ image.year or image.title }} · {{
image.image_licence }} · {{ image.image_attribution }}{% if image.flags %} · {{ image.flags|join(", ") }}{% endif
%}</figcaption></figure> {% endfor %}</div>{% endfor %} {% for image in images[landmark.id] if image.verdict ==
"rejected" %}<p class="facts">Rejected: {{ image.title or image.year }}: {{ image.reasons|join("; ") }}</p> {% endfor %}
</article> {% endfor %} </body></html>
"""


def write_page(path: Path, release: Path, title: str, landmarks: Sequence[Landmark]) -> None:
    """Write the page.

    Args:
        path: Where the HTML file goes; its images are named relative to it.
        release: Folder of the release.
        title: Of the dataset.
        landmarks: Those of the release.
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
    west, east = (extreme((each.lonlat[0] for each in landmarks), default=0.0) for extreme in (min, max))
    south, north = (extreme((each.lonlat[1] for each in landmarks), default=0.0) for extreme in (min, max))
    margin = max(east - west, north - south, 0.01) * 0.05
    colours = {"train": "#2b6cb0", "query": "#c05621"}
    dots = [
        {
            "id": each.id,
            "x": each.lonlat[0],
            "y": -each.lonlat[1],
            "name": each.facts["name"],
            "colour": colours[each.split],
        }
        for each in landmarks
    ]
    counts: dict[str, int] = defaultdict(int)
    for each in landmarks:
        counts[each.split] += 1
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(_TEMPLATE).render(
        title=title, landmarks=landmarks, shown=shown, images=images, dots=dots, counts=dict(sorted(counts.items())),
        accepted=verdicts["accepted"], rejected=verdicts["rejected"], radius=margin / 6,
        view=f"{west - margin} {-north - margin} {east - west + 2 * margin} {north - south + 2 * margin}",
    )  # fmt: skip
    write_bytes(path, page.encode())
