"""Dates as sources state them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dates import parse_interval, rfc3339, union

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", "2024-01-01T00:00:00Z", "2024-12-31T23:59:59Z"),
        ("2024-02", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59Z"),
        ("2023-12", "2023-12-01T00:00:00Z", "2023-12-31T23:59:59Z"),
        (" 2024-07-15 ", "2024-07-15T00:00:00Z", "2024-07-15T23:59:59Z"),
        ("2024-07-15T10:00:00+02:00", "2024-07-15T08:00:00Z", "2024-07-15T08:00:00Z"),
        ("2019-2022", "2019-01-01T00:00:00Z", "2022-12-31T23:59:59Z"),
        ("2019-05/2020", "2019-05-01T00:00:00Z", "2020-12-31T23:59:59Z"),
    ],
)
def test_reads_known_forms(text, start, end):
    interval = parse_interval(text)
    assert interval is not None
    assert (rfc3339(interval[0]), rfc3339(interval[1])) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "summer 2020",
        "2024-13",
        "2024-02-30",
        "2022/2019",
        "0000",
        "9999-9998",
        "0001-01-01T00:00:00+02:00",
    ],
)
def test_anything_else_is_unknown(text):
    assert parse_interval(text) is None


def test_union_covers_what_is_known():
    assert tuple(map(rfc3339, union(["2020", "?", "2018-06"]))) == ("2018-06-01T00:00:00Z", "2020-12-31T23:59:59Z")
    assert union(["?", ""]) is None


@given(st.dates(date(1, 1, 1), date(9999, 12, 30)))
def test_a_day_is_one_second_short_of_24_hours(day):
    interval = parse_interval(day.isoformat())
    assert interval is not None
    assert interval[1] - interval[0] == timedelta(days=1, seconds=-1)
    assert interval[0] == datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(st.text(max_size=30))
def test_never_raises(text):
    parse_interval(text)
