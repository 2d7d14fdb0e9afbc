"""Verdicts of people: their files, when they are in force, what they make of rules, and how operators compare."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import PermanentError
from pipeline.files import SAVING_PREFIX, sweep_temporary
from raster.homography import apply_homography
from stages.clean.people import said_of_pairs
from stages.review import in_force
from stages.review.agreement import measure_agreement
from stages.review.verdicts import (
    SiteVerdict,
    TileVerdict,
    digest_of_points,
    read_site_verdict,
    read_tile_verdicts,
    write_site_verdict,
    write_tile_verdicts,
)
from stages.tiepoints import TiePoint

pytestmark = pytest.mark.unit

ALIGNMENT, POINTS, OTHER = "a" * 64, "b" * 64, "c" * 64


def said(**given: object) -> SiteVerdict:
    return SiteVerdict(**({"verdict": "accepted", "operator": "Ada", "date": "2026-11-29"} | given))  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    verdict = said(verdict="rejected", reason="other", note='Ümlaut, "quoted"\nand more', alignment=ALIGNMENT)
    write_site_verdict(tmp_path / "1.json", verdict)
    assert read_site_verdict(tmp_path / "1.json") == verdict
    assert read_site_verdict(tmp_path / "2.json") is None
    tiles = [TileVerdict(f"p{i}", "reject", 'a, "b"', "Bob", "2026", "0", "1") for i in range(3)]
    write_tile_verdicts(tmp_path / "1.tiles.csv", reversed(tiles))
    assert read_tile_verdicts(tmp_path / "1.tiles.csv") == tiles
    write_tile_verdicts(tmp_path / "1.tiles.csv", [])
    assert not (tmp_path / "1.tiles.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "needs verdict, operator and date"),
        ("{", "not a verdict"),
        ('{"verdict": "maybe", "operator": "A", "date": ""}', "may be 'accepted' or 'rejected'"),
        ('{"verdict": "accepted", "operator": " ", "date": ""}', "names its operator"),
        ('{"verdict": "rejected", "operator": "A", "date": "", "reason": "because"}', "may be one of"),
        ('{"verdict": "rejected", "operator": "A", "date": "", "reason": "other"}', "note must say why"),
        ('{"verdict": "accepted", "operator": "A", "date": "", "override": true}', "note must say why"),
        ('{"verdict": "accepted", "operator": "A", "date": "", "override": 1}', "override must be"),
        ('{"verdict": "accepted", "operator": "A", "date": "", "extra": ""}', "knows"),
    ],
)
def test_what_is_no_verdict_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "1.json").write_text(text)
    with pytest.raises(PermanentError, match=message) as error:
        read_site_verdict(tmp_path / "1.json")
    assert str(tmp_path / "1.json") in str(error.value)


def test_no_verdict_makes_right_what_tests_refuse_but_an_override_of_that_very_alignment() -> None:
    verdicts = [
        None,
        *(
            said(verdict=verdict, override=override, note="n", reason="poor map", alignment=alignment, points=points)
            for verdict, override, alignment, points in product(
                ("accepted", "rejected"), (False, True), ("", ALIGNMENT, OTHER), ("", POINTS, OTHER)
            )
        ),
    ]
    for verdict in verdicts:
        refused = in_force(verdict, False, "why", ALIGNMENT, POINTS)
        overridden = verdict is not None and verdict.verdict == "accepted" and verdict.override
        assert refused.accepted == (overridden and verdict is not None and verdict.alignment == ALIGNMENT)
        passed = in_force(verdict, True, "", ALIGNMENT, POINTS)
        rejected = verdict is not None and verdict.verdict == "rejected" and verdict.alignment == ALIGNMENT
        assert passed.accepted != rejected
        assert passed.rejected_by_person == rejected
        if verdict is not None and not verdict.holds(ALIGNMENT, POINTS):
            assert passed.lapsed
            assert "lapsed" in passed.reason
            assert passed.review == ""


def test_points_have_the_digest_of_their_places() -> None:
    points = [{"map_x": 1.0, "map_y": 2, "visible_x": 3, "visible_y": 4, "name": name} for name in "ab"]
    points[1] |= {"map_x": 9.0}
    assert digest_of_points(points) == digest_of_points([dict(point, name="z") for point in reversed(points)])
    assert digest_of_points(points) != digest_of_points(points[:1])
    assert digest_of_points([]) == ""


def test_verdicts_meet_their_rows_and_lapse_with_either_tile() -> None:
    rows = [(f"001_1_0000_000{n}", "001", "1", f"m{n}", f"v{n}") for n in range(4)]
    names = ("pair_id", "point_id", "site_id", "map_digest", "visible_digest")
    pairs = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    verdicts = [
        TileVerdict(rows[0][0], "reject", "cloud or snow", "Ada", "", "m0", "v0"),
        TileVerdict(rows[1][0], "keep", "", "Bob", "", "m1", "v1"),
        TileVerdict(rows[2][0], "reject", "cloud or snow", "Ada", "", "m2", "other"),
        TileVerdict("gone", "reject", "cloud or snow", "Ada", "", "", ""),
    ]
    found, lapsed = said_of_pairs(pairs, verdicts, {})
    assert lapsed == 2
    assert {row: each.reasons for row, each in found.items()} == {0: ("rejected by Ada: cloud or snow",), 1: ()}
    whole, _ = said_of_pairs(pairs, verdicts, {"001/1": "rejected by Cy: wrong place"})
    assert all(each.reasons[-1] == "rejected by Cy: wrong place" for each in whole.values())
    assert len(whole) == 4


def test_operators_are_compared_by_what_their_points_imply() -> None:
    truth = np.array([[1.01, 0.02, 5], [-0.02, 0.99, -3], [0, 0, 1.0]])
    places = np.array([[x, y] for x in (0.0, 500, 1000) for y in (0.0, 400, 800)])
    points = []
    for name, shift in (("Ada", (0.0, 0.0)), ("Bob", (3.0, 4.0))):
        for number, (source, target) in enumerate(zip(places, apply_homography(truth, places) + shift, strict=True)):
            points.append(TiePoint(f"{name}{number}", *source, *target, name))
    found = measure_agreement(points, truth)
    assert found is not None
    assert found.operators == ("Ada", "Bob")
    assert found.operator_px == pytest.approx((0.0, 5.0))
    assert found.inter_operator_px == pytest.approx(5.0)
    alone = measure_agreement([point for point in points if point.operator == "Ada"], truth)
    assert alone is not None
    assert alone.inter_operator_px is None
    assert measure_agreement(points[:2], truth) is None


def test_a_run_leaves_alone_what_a_person_is_saving(tmp_path: Path) -> None:
    for name in (".tmp-1-a.csv", f"{SAVING_PREFIX}1-a.csv", "a.csv"):
        (tmp_path / name).touch()
    assert sweep_temporary(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {f"{SAVING_PREFIX}1-a.csv", "a.csv"}
