"""The report of a model: one HTML file with tables, curves, maps of errors, and the best and worst queries."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from retrieval.benchmark import DISTRACTOR, TASKS, Benchmark, Items, Modality, Task
from retrieval.embeddings import Embeddings
from retrieval.errors import RetrievalError
from retrieval.evaluate import TaskResult
from retrieval.images import read_image
from retrieval.report.plots import distance_curves, error_map, recall_curves
from retrieval.vectors import Float32, Vectors

DRAWN = 3
"""Queries of a task that are drawn, of the best and of the worst each."""
_ANSWERS = 5
_THUMBNAIL = 150
_BLOCK = 65_536
"""Vectors that are scored at once."""

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1b1b1b}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
h1{overflow-wrap:anywhere}small{color:#555}figure{display:inline-block;margin:.5rem;vertical-align:top;max-width:480px}
figcaption{font-size:12px;color:#555}svg{width:460px;max-width:100%;height:auto}
.query{display:flex;gap:.6rem;align-items:flex-start;margin:.6rem 0;overflow-x:auto}
.item{width:150px;flex:none;font-size:12px}.item img{width:150px;height:150px;object-fit:cover;border:3px solid #ccc}
.item p{margin:0;border:3px solid #ccc;padding:.3rem;height:138px;overflow:auto}
.right img,.right p{border-color:#009e73}.asked img,.asked p{border-color:#0072b2}
.note{background:#fff6e0;padding:.5rem .8rem;border-left:4px solid #e69f00}
"""

Tables = Mapping[Modality, Embeddings]


def write_report(
    path: Path,
    about: Mapping[str, Any],
    results: Sequence[TaskResult],
    benchmark: Benchmark,
    tables: Tables,
) -> None:
    """Write the report.

    Args:
        path: The HTML file.
        about: What `results.json` says of model, dataset and machine.
        results: Of all tasks and protocols.
        benchmark: Queries and galleries, for the pictures.
        tables: Embeddings of queries and galleries.
    """
    title = escape(f"{about['model']} on {about['dataset']['name']}")
    parts = [f"<h1>{title}</h1>", f"<p>{_machine(about)}</p>"]
    for protocol, note in _PROTOCOLS.items():
        chosen = [each for each in results if each.protocol == protocol and "R@1" in each.figures]
        if chosen:
            parts += [
                f"<h2>Retrieval, protocol {protocol}</h2>",
                f'<p class="note">{note}</p>',
                _table(chosen, _RETRIEVAL),
            ]
    placed = _unique([each for each in results if "median km" in each.figures])
    if placed:
        parts += ["<h2>Geolocation</h2>", _table(placed, _GEOLOCATION)]
    ranked = [each for each in results if "first_rank" in each.rows.column_names]
    drawn = max((each.protocol for each in ranked), default="")  # the whole gallery, where it was measured
    found = {each.task: each for each in ranked if each.protocol == drawn}
    ranks = {name: each.rows["first_rank"].to_numpy() for name, each in found.items()}
    parts += ["<h2>Curves</h2>", recall_curves(ranks, {name: each.gallery for name, each in found.items()})]
    parts.append(distance_curves({each.task: each.rows["error_km"].to_numpy() for each in placed}))
    for each in placed:
        answers = np.stack([each.rows[name].to_numpy() for name in ("longitude", "latitude")], axis=1)
        truth = benchmark.lonlat[each.rows["landmark"].to_numpy()]
        parts.append(error_map(each.task, truth, answers, each.rows["error_km"].to_numpy()))
    parts += _breakdowns(list(found.values()), drawn)
    for each in found.values():
        if each.task in TASKS:
            parts += _queries(each, TASKS[each.task], benchmark, tables)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    html = f'<!doctype html><html lang="en">{head}<title>{title}</title><style>{_STYLE}</style>'
    path.write_text(html + f"<body>{''.join(parts)}</body></html>", encoding="utf-8")


_PROTOCOLS = {
    "whole-gallery": "Every item of the gallery counts. A right answer stands behind other items of the same score.",
    "official": "As the published evaluation computes: distractors are removed from the list before recall and "
    "precision are taken; only the median rank counts them. Never compare them with those of the whole gallery.",
}
_GROUPINGS = {"images": "number of photographs"}
_RETRIEVAL = ("R@1", "R@5", "R@10", "mAP@1k", "MRR", "median rank", "median rank by chance")
_GEOLOCATION = ("within 1 km", "within 25 km", "within 200 km", "within 750 km", "within 2500 km", "median km")


def _machine(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    return escape(
        f"MapData {about['version']}, {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"dataset {about['dataset']['digest']}, {about['search']} search. Ranks count from 0. Intervals of 95% are "
        "over landmarks."
    )


def _unique(results: Sequence[TaskResult]) -> list[TaskResult]:
    return list({each.task: each for each in reversed(results)}.values())[::-1]


def _table(results: Sequence[TaskResult], columns: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("task", "queries", "gallery", *columns))
    rows = []
    for each in results:
        without = f" <small>and {each.without_answer} without a right answer</small>" if each.without_answer else ""
        cells = [f"<td>{escape(each.task)}</td><td>{each.queries}{without}</td><td>{each.gallery}</td>"]
        for name in columns:
            figure = each.figures[name]
            share = name.startswith(("R@", "mAP", "within"))
            numbers = (figure.value, figure.low, figure.high)
            value, low, high = (_number(one, share) for one in numbers)
            interval = "" if low == high else f" <small>{low}-{high}</small>"
            cells.append(f"<td>{value}{interval}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value: float, share: bool) -> str:
    if share:
        return f"{100 * value:.1f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _breakdowns(results: Sequence[TaskResult], protocol: str) -> list[str]:
    parts = []
    groupings = list(dict.fromkeys(name for each in results for name in each.breakdowns))
    for grouping in groupings:
        groups = sorted({group for each in results for group in each.breakdowns.get(grouping, {})})
        head = "".join(f"<th>{escape(each.task)}</th>" for each in results)
        rows = []
        for group in groups:
            found = [each.breakdowns.get(grouping, {}).get(group) for each in results]
            cells = "".join(
                "<td></td>"
                if one is None
                else f"<td>{100 * one['R@10']:.0f} <small>of {one['queries']:.0f}</small></td>"
                for one in found
            )
            rows.append(f"<tr><td>{escape(group)}</td>{cells}</tr>")
        parts.append(
            f"<h2>R@10 by {escape(_GROUPINGS.get(grouping, grouping))}, protocol {protocol}</h2>"
            f"<table><thead><tr><th></th>{head}</tr></thead>"
        )
        parts.append(f"<tbody>{''.join(rows)}</tbody></table>")
    return parts


def _queries(result: TaskResult, task: Task, benchmark: Benchmark, tables: Tables) -> list[str]:
    queries, items = benchmark.queries[task.query], benchmark.galleries[task.gallery]
    if queries.content is None or items.content is None:
        return []
    ranks = result.rows["first_rank"].to_numpy()
    positions = {name: position for position, name in enumerate(queries.ids)}
    asked = [positions[name] for name in result.rows["query"].to_pylist()]
    order = np.argsort(ranks, kind="stable")
    drawn = min(DRAWN, len(order) // 2)
    searched = tables[task.gallery].gallery(items)
    parts = []
    for word, chosen in (("Best", order[:drawn]), ("Worst", order[::-1][:drawn])):
        parts.append(f"<h2>{word} queries of {escape(result.task)}</h2>")
        for row in chosen.tolist():
            vector = tables[task.query].take(_one(queries, asked[row])).read(0, 1)[0]
            parts.append(_query(asked[row], int(ranks[row]), queries, items, _nearest(vector, *searched)))
    return parts


def _one(items: Items, position: int) -> Items:
    return Items([items.ids[position]], items.landmarks[position : position + 1])


def _nearest(vector: Float32, table: Vectors, order: npt.NDArray[np.int64]) -> list[int]:
    """Return the positions in the gallery of the items that are most like a query."""
    scores = np.concatenate([table.read(start, start + _BLOCK) @ vector for start in range(0, len(table), _BLOCK)])
    nearest: list[int] = order[np.argsort(-scores, kind="stable")[:_ANSWERS]].tolist()
    return nearest


def _query(number: int, rank: int, queries: Items, items: Items, nearest: Sequence[int]) -> str:
    own = int(queries.landmarks[number])
    shown = [_item(queries, number, "asked", f"query; right answer at rank {rank}")]
    for place, position in enumerate(nearest):
        right = items.landmarks[position] == own
        label = "right" if right else "distractor" if items.landmarks[position] == DISTRACTOR else "another landmark"
        shown.append(_item(items, position, "right" if right else "", f"{place}: {label}"))
    return f'<div class="query">{"".join(shown)}</div>'


def _item(items: Items, position: int, style: str, label: str) -> str:
    assert items.content is not None
    content = items.content(position)
    if isinstance(content, str):
        body = f"<p>{escape(content)}</p>"
    else:
        try:
            body = f'<img alt="{escape(items.ids[position])}" src="{data_url(read_image(content))}">'
        except RetrievalError:
            body = f"<p>{escape(items.ids[position])}: not here</p>"
    return f'<div class="item {style}">{body}{escape(label)}</div>'


def data_url(image: npt.NDArray[np.uint8], side: int = _THUMBNAIL) -> str:
    """Return a small JPEG of an image as an address that holds it.

    Args:
        image: (H, W, 3) RGB uint8.
        side: Largest length of the shorter side, pixels; a smaller image keeps its size.

    Returns:
        A `data:` address, so that the page needs no file beside it.
    """
    factor = side / min(image.shape[:2])
    if factor < 1:
        image = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    done, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(code.tobytes()).decode()
