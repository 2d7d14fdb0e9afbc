"""From hand-made rows to results, leaderboard and report."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pyarrow as pa
import pytest

from matcher.benchmark.leaderboard import write_leaderboard
from matcher.benchmark.metrics import auc, error_curve
from matcher.benchmark.pairs import PairFiles
from matcher.benchmark.plots import cumulative_errors
from matcher.benchmark.readers import PairSpec
from matcher.benchmark.report import write_report
from matcher.benchmark.rows import FAILED, ROWS, make_row
from matcher.benchmark.summary import summarise, write_results
from raster.levels import LEVELS

pytestmark = pytest.mark.unit

NAMES = [f"set/{index}" for index in range(8)]
SPEC = PairSpec("data/Optical-Map", "srif")
MADE = {"hardware": ["a CPU"], "commits": ["0123456789ab"], "days": ["2026-01-01"], "mapdata": "1"}


def _row(matcher: str, level: str, pair: str, error: float, **more: Any) -> dict[str, Any]:
    identity = {"matcher": matcher, "level": level, "pair": pair}
    if not np.isfinite(error):
        return make_row(identity, "no model", "too few <matches>", FAILED, match_s=0.1, wall_s=0.11, **more)
    facts = {"corner_error_px": error, "corner_error_ransac_px": error, "correct": 100, "matches": 120}
    facts |= {
        "rmse_px": 1.0,
        "accuracy_3px": 0.9,
        "match_s": 0.2,
        "wall_s": 0.21,
        "estimate": np.eye(3).ravel().tolist(),
    }
    return make_row(identity, "matched", "", FAILED, **facts, **more)


def _table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), ROWS)


@pytest.fixture
def rows() -> pa.Table:
    perfect = [_row("perfect", level, name, 0.0) for level in ("aligned", "easy") for name in NAMES]
    random = [_row("random", level, name, float("inf")) for level in ("aligned", "easy") for name in NAMES]
    return _table(*random, *perfect)


def _entry(results: dict[str, Any], matcher: str, level: str) -> dict[str, Any]:
    (found,) = [e for e in results["entries"] if (e["matcher"], e["level"]) == (matcher, level)]
    return found


def test_a_perfect_matcher_scores_all_and_a_failing_one_nothing(rows: pa.Table) -> None:
    results = summarise(rows, SPEC, LEVELS, MADE)
    for level in ("aligned", "easy"):
        for name in ("auc_3px", "auc_20px", "success_3px", "success_10px_ransac"):
            assert _entry(results, "perfect", level)["figures"][name] == {"value": 1.0, "low": 1.0, "high": 1.0}
            assert _entry(results, "random", level)["figures"][name] == {"value": 0.0, "low": 0.0, "high": 0.0}
    entry = _entry(results, "random", "easy")
    assert entry["failures"] == {"error": 0, "crash": 0, "timeout": 0, "no model": 8}
    assert entry["median_corner_error_px"] is None
    assert entry["figures"]["rmse_px"]["value"] == 20.0
    assert entry["reasons"] == {"too few <matches>": 8}
    (comparison,) = [c for c in results["comparisons"] if c["level"] == "easy"]
    assert comparison["auc_10px_difference"]["value"] == 1.0
    assert comparison["only_first_succeeds"] == 8
    assert comparison["p_success"] == pytest.approx(2 / 2**8)
    assert results["headline"]["perfect"] == {"AUC 10 px, aligned": 1.0, "AUC 10 px, easy": 1.0}


def test_numbers_by_hand() -> None:
    errors = [1.0, 4.0, 8.0, float("inf")]
    results = summarise(
        _table(*(_row("m", "easy", name, e) for name, e in zip(NAMES, errors, strict=False))), SPEC, LEVELS, MADE
    )
    figures = _entry(results, "m", "easy")["figures"]
    assert [figures[f"success_{px}px"]["value"] for px in (3, 5, 10)] == [0.25, 0.5, 0.75]
    # Straight lines through (0, 0), (1, .25), (4, .5), (8, .75), then level to 10.
    assert figures["auc_10px"]["value"] == pytest.approx((0.125 + 3 * 0.375 + 4 * 0.625 + 2 * 0.75) / 10)
    assert _entry(results, "m", "easy")["median_corner_error_px"] == 6.0
    assert figures["correct_matches"]["value"] == 75


def test_what_is_drawn_has_the_area_that_is_reported() -> None:
    errors = np.array([0.3, 1.0, 4.0, 8.0, 30.0, np.inf])
    for threshold in (3.0, 10.0, 20.0):
        x, y = error_curve(errors, threshold)
        assert (x[0], y[0], x[-1]) == (0.0, 0.0, threshold)
        assert np.trapezoid(y, x) / threshold == pytest.approx(auc(errors, threshold))
    assert auc(np.array([]), 3.0) == 0.0


def test_plots_on_one_page_share_no_ids_unless_they_are_the_same() -> None:
    plots = [cumulative_errors({"m": np.array(errors)}, 20.0) for errors in ([1.0, 3.0], [1.0, 30.0], [1.0, 3.0])]
    ids = [set(re.findall(r'<clipPath id="(\w+)"', plot)) for plot in plots]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert plots[0] == plots[2]


def test_the_order_of_rows_does_not_matter(rows: pa.Table) -> None:
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert summarise(rows, SPEC, LEVELS, MADE) == summarise(shuffled, SPEC, LEVELS, MADE)


def test_results_that_break_the_schema_are_not_written(rows: pa.Table, tmp_path: Path) -> None:
    results = summarise(rows, SPEC, LEVELS, MADE)
    write_results(tmp_path / "ok.json", results)
    assert json.loads((tmp_path / "ok.json").read_text()) == results
    del results["entries"][0]["figures"]["auc_10px"]
    with pytest.raises(ValueError, match="auc_10px"):
        write_results(tmp_path / "broken.json", results)
    assert not (tmp_path / "broken.json").exists()


def test_the_leaderboard_ranks_and_doubts(rows: pa.Table) -> None:
    text = write_leaderboard(summarise(rows, SPEC, LEVELS, MADE))
    assert text.index("| perfect | 100.0 (100.0-100.0)") < text.index("| random | 0.0 (0.0-0.0)")
    assert "uncertain by about 3 px" in text
    assert "| ~AUC 3 px | AUC 5 px |" in text
    assert "8 pairs, measured 2026-01-01 on a CPU, mapdata 1 at commit 0123456789ab." in text
    overview = text[text.index("## All levels") : text.index("## aligned")]
    assert "| matcher | aligned | easy | seconds a pair |" in overview
    assert "| perfect | 100.0 (100.0-100.0) | 100.0 (100.0-100.0) | 0.2 |" in overview
    assert overview.index("| perfect") < overview.index("| random")
    certain = write_leaderboard(summarise(rows, PairSpec("x", "srif"), LEVELS, MADE))
    assert "uncertain" not in certain
    assert "~" not in certain


class _Page(HTMLParser):
    """Collects what a page loads, and whether its tables, figures and sections are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img", "!doctype"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_well_formed_page_that_loads_nothing(rows: pa.Table, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    pairs = [PairFiles(name, tmp_path / "a.png", tmp_path / "a.png", lambda: np.eye(3)) for name in NAMES]
    results = summarise(rows, SPEC, LEVELS, {**MADE, "hardware": ["a <CPU>"]})
    write_report(tmp_path / "out", results, rows, pairs, LEVELS)
    text = (tmp_path / "out/report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.sources
    loaded = [source for source in page.sources if not source.startswith("#")]  # plots repeat shapes of their own
    assert all(source.startswith("data:image/jpeg;base64,") for source in loaded)
    assert text.count("<script") == 1  # sorts tables; loads nothing
    assert "a &lt;CPU&gt;" in text
    assert "too few &lt;matches&gt;" in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "perfect" in drawing
    write_report(tmp_path / "again", results, rows, pairs, LEVELS)
    assert (tmp_path / "again/report.html").read_text() == text
    first = base64.b64decode(loaded[0].partition(",")[2])
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (256, 3 * 256, 3)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "leaderboard.md", "report.html"}
