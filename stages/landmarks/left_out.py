"""What a run of landmarks left out, and why: candidates, landmarks, photographs, images, in groups of one reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.landmarks.ground import REFUSED
from stages.landmarks.split import SPLIT_IMAGES, SPLIT_LANDMARKS
from stages.landmarks.tables import LANDMARKS, REJECTED
from stages.tables import read_tables

EXAMPLES = 30
_CHANGING = re.compile(r"'[^']*'|\b(?:[0-9a-f]{16}|Q?\d[\d.,]*)\b")
"""What differs between reasons of one kind: quoted values, ids, numbers."""


@dataclass
class Group:
    """Things that were left out for reasons of one kind.

    Attributes:
        what: "candidate", "landmark", "photograph" or "image".
        reason: The reason, an ellipsis for what differs.
        count: How many.
        examples: Name and reason of the first.
    """

    what: str
    reason: str
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class LeftOut:
    """All that was left out.

    Attributes:
        groups: By kind of reason, the largest first of each kind of thing.
        refused: Landmark id -> name and reason of each photograph that was not kept.
    """

    groups: Sequence[Group]
    refused: Mapping[str, Sequence[tuple[str, str]]]


def left_out(workspace: Path, paths: Mapping[str, Sequence[str]]) -> LeftOut:
    """Read what stages rejected.

    Args:
        workspace: What paths are relative to.
        paths: Paths of tables by name: `rejected` of `select` and `resolve`, `refused` of `ground`, `landmarks` of
            `resolve`, `split_landmarks` and `split_images` of `split`.

    Raises:
        PermanentError: A table cannot be read.
    """

    def rows(name: str, schema: pa.Schema, *columns: str) -> Iterator[dict[str, Any]]:
        table = read_tables([workspace / path for path in paths[name]], schema, columns)
        for batch in table.to_batches(max_chunksize=4096):
            yield from batch.to_pylist()

    names = {row["landmark_id"]: row["name"] for row in rows("landmarks", LANDMARKS, "landmark_id", "name")}
    refused: dict[str, list[tuple[str, str]]] = {}
    for row in rows("refused", REFUSED, "landmark_id", "name", "reason"):
        refused.setdefault(row["landmark_id"], []).append((row["name"], row["reason"]))
    objects = rows("rejected", REJECTED, "name", "osm_type", "osm_id", "reason")
    places = rows("split_landmarks", SPLIT_LANDMARKS, "landmark_id", "reason")
    judged = rows("split_images", SPLIT_IMAGES, "image_id", "reasons")
    things = {
        "candidate": ((row["name"] or f"{row['osm_type']} {row['osm_id']}", row["reason"]) for row in objects),
        "landmark": ((names[row["landmark_id"]], row["reason"]) for row in places if row["reason"]),
        "photograph": (each for some in refused.values() for each in some),
        "image": ((row["image_id"], reason) for row in judged for reason in row["reasons"][:1]),
    }
    return LeftOut([group for what, each in things.items() for group in grouped(what, each)], refused)


def grouped(what: str, things: Iterable[tuple[str, str]]) -> list[Group]:
    """Return groups of one kind of reason, the largest first.

    Args:
        what: What one of the things is called.
        things: Name and reason of each.
    """
    groups: dict[str, Group] = {}
    for name, reason in things:
        kind = _CHANGING.sub("…", reason)
        group = groups.setdefault(kind, Group(what, kind))
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append((name, reason))
    for group in groups.values():
        if len({reason for _, reason in group.examples}) == 1:  # nothing differs: "CC-BY-NC-2.0" needs no ellipsis
            group.reason = group.examples[0][1]
    return sorted(groups.values(), key=lambda group: (-group.count, group.reason))
