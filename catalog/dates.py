"""Dates as sources state them -> intervals of time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

Interval = tuple[datetime, datetime]


_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_YEARS = re.compile(r"(\d{4})-(\d{4})")


def parse_interval(text: str) -> Interval | None:
    """Return first and last second (UTC) of a year, month, day, instant or interval (`A/B`, or `2019-2022`).

    Returns None for text that is none of these: a source's date is free text and may be unknown.
    """
    text = text.strip()
    years = _YEARS.fullmatch(text)
    first, _, last = (years[1], "/", years[2]) if years else text.partition("/")
    try:
        start, end = _span(first), _span(last or first)
    except (ValueError, OverflowError):
        return None
    return (start[0], end[1]) if start[0] <= end[1] else None


def union(texts: Iterable[str]) -> Interval | None:
    """Return the interval that covers all the dates that can be read; None if there is none."""
    known = [interval for interval in map(parse_interval, texts) if interval is not None]
    return (min(start for start, _ in known), max(end for _, end in known)) if known else None


def rfc3339(moment: datetime) -> str:
    """Return a UTC moment as STAC writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(text: str) -> Interval:
    match = _DAY.fullmatch(text.strip())
    if match is None:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment, moment
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    start = datetime(year, month or 1, day or 1, tzinfo=UTC)
    if day is not None:
        after = start + timedelta(days=1)
    elif month is not None:
        after = (start + timedelta(days=31)).replace(day=1)
    else:
        after = datetime(year + 1, 1, 1, tzinfo=UTC)
    return start, after - timedelta(seconds=1)
