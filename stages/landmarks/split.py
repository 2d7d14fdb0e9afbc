"""Stage `split`: landmarks -> train and query, so that no place, landmark or photograph is in both.

Inputs: the landmarks of `resolve`, the tables of images of `ground`, `aerial` and `index`, the texts. Output, one unit:
`landmarks/split/landmarks.parquet`, a row a landmark with its split, and `images.parquet`, a row an image with its
split, verdict and reasons.

A landmark takes part if it has at least one photograph, one aerial image and one text; the others are rejected with
what they lack. So are objects that turned out to be one item (redirects, titles), except the one that `select` would
have taken. Landmarks closer than `distance_km` form a cluster, which stays whole; clusters are dealt in an order drawn
from the run's seed. Then images are compared across splits by their perceptual hashes: of near duplicates in two
splits, the one in the training split is rejected, or the one in the index. A landmark that loses a side by that is
rejected, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import shapely
from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.landmarks.tables import IMAGES, LANDMARKS, TEXTS, outputs_named
from stages.split import cluster_points, deal
from stages.tables import read_tables, write_table

SPLIT_LANDMARKS = pa.schema(
    [("landmark_id", pa.string()), ("split", pa.string()), ("cluster", pa.string()), ("reason", pa.string())]
)
"""`split` is train or query, null for a rejected landmark; `cluster` the smallest id that stays together with it."""

SPLIT_IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("split", pa.string()),  # train | query | index
        ("verdict", pa.string()),  # accepted | rejected
        ("reasons", pa.list_(pa.string())),
    ]
)

_JUDGED = ["image_id", "landmark_id", "modality", "hash", "flags"]
"""Columns of `IMAGES` that decide."""

_REJECTING = frozenset({"near duplicate", "map", "coat of arms", "portrait", "document"})
"""Flags with which an image is not published; the others are kept as columns for who reads the dataset."""
_RANK = {"query": 0, "train": 1, "index": 2}
"""Of near duplicates in two splits the one of the lower rank stays."""


class SplitParams(BaseModel):
    """How landmarks are divided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query_share: float = Field(0.054, gt=0, lt=1, description="Share of the landmarks whose images are queries.")
    distance_km: float = Field(1.0, ge=0, description="Least distance between landmarks of different splits, km.")
    near_bits: int = Field(4, ge=0, le=20, description="Bits of 64 by which hashes of near duplicates differ at most.")


class SplitStage(Stage[SplitParams]):
    """Divide all landmarks: one unit, `landmarks`."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 2
    Params: ClassVar[type[BaseModel]] = SplitParams
    reads: ClassVar[tuple[str, ...]] = ("resolve", "ground", "text", "aerial", "index")

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        found = [
            outputs_named(run.read("resolve"), "landmarks.parquet"),
            outputs_named(run.read("text"), "texts.parquet"),
        ]
        found += [outputs_named(run.read(stage), "images.parquet") for stage in ("ground", "aerial", "index")]
        names = ("landmarks", "texts", "ground", "aerial", "index")
        tables = {name: [entry.path for entry in entries] for name, entries in zip(names, found, strict=True)}
        digests = [entry.digest for entries in found for entry in entries]
        return [self.unit("landmarks", {"seed": run.seed, "tables": tables}, digests)]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Divide the landmarks. Raises PermanentError if a table cannot be read."""
        tables = {name: [workspace / path for path in paths] for name, paths in unit.payload["tables"].items()}
        landmarks = read_tables(tables["landmarks"], LANDMARKS).sort_by("landmark_id")
        texts = set(read_tables(tables["texts"], TEXTS, ["landmark_id"])["landmark_id"].to_pylist())
        paths = [path for name in ("ground", "aerial", "index") for path in tables[name]]
        rows = judged_images(read_tables(paths, IMAGES, _JUDGED).sort_by("image_id"))
        lacking = missing_sides(landmarks["landmark_id"].to_pylist(), rows, texts)
        lacking |= same_items(landmarks.to_pylist(), lacking)
        whole = landmarks.filter(
            pa.array([not lacking[each] for each in landmarks["landmark_id"].to_pylist()], pa.bool_())
        )
        clusters, splits = self._divided(whole, unit.payload["seed"])
        for row in rows:
            self._assign(row, splits, lacking)
        reject_near_duplicates(rows, self.params.near_bits)
        for landmark, reason in missing_sides(sorted(splits), rows, texts).items():
            if reason:
                lacking[landmark] = f"{reason} that is not nearly the same as one of another split"
                del splits[landmark]
        for row in rows:
            if row["verdict"] == "accepted" and row["landmark_id"] is not None:
                self._assign(row, splits, lacking)
        folder = workspace / "landmarks" / "split"
        table = [
            {"landmark_id": each, "split": splits.get(each), "cluster": clusters.get(each, ""), "reason": lacking[each]}
            for each in landmarks["landmark_id"].to_pylist()
        ]
        write_table(folder / "landmarks.parquet", table, SPLIT_LANDMARKS)
        columns = [[row[name] for row in rows] for name in SPLIT_IMAGES.names]
        write_table(folder / "images.parquet", pa.table(columns, schema=SPLIT_IMAGES), SPLIT_IMAGES)
        counts: dict[str, int] = defaultdict(int)
        for split in splits.values():
            counts[split] += 1
        rejected = sum(row["verdict"] == "rejected" for row in rows)
        data = {
            "landmarks": dict(counts),
            "without a side": sum(map(bool, lacking.values())),
            "rejected images": rejected,
        }
        return Result(tuple(output(workspace, folder / f"{name}.parquet") for name in ("landmarks", "images")), data)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit."""
        count = before["resolve"].propagated.get("landmarks", 0) if "resolve" in before else 0
        return Estimate(1, seconds=1 + count * 0.002)

    def _divided(self, landmarks: pa.Table, seed: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return the cluster and the split of each landmark."""
        ids = landmarks["landmark_id"].to_pylist()
        if not ids:
            return {}, {}
        boxes = shapely.box(*(landmarks[name].to_numpy() for name in ("min_lon", "min_lat", "max_lon", "max_lat")))
        places = pa.table(
            {
                "point_id": ids,
                "site_id": ["1"] * len(ids),
                "geometry": pa.array(shapely.to_wkb(boxes).tolist(), pa.binary()),
            }
        )
        clusters = cluster_points(places, self.params.distance_km)
        sizes: dict[str, int] = defaultdict(int)
        for each in ids:
            sizes[clusters[each]] += 1
        shares = {"train": 1 - self.params.query_share, "query": self.params.query_share}
        dealt = deal(sizes, shares, seed)
        return clusters, {each: dealt[clusters[each]] for each in ids}

    @staticmethod
    def _assign(row: dict[str, Any], splits: Mapping[str, str], lacking: Mapping[str, str]) -> None:
        landmark = row["landmark_id"]
        row["split"] = "index" if landmark is None else splits.get(landmark)
        if row["split"] is None:
            row["reasons"].append(f"its landmark is left out: {lacking.get(landmark) or 'it is not known'}")
            row["verdict"] = "rejected"


def judged_images(images: pa.Table) -> list[dict[str, Any]]:
    """Return what is known of each image, rejected where a flag says that it does not show the landmark."""
    rows = images.select(_JUDGED).to_pylist()
    for row in rows:
        row["reasons"] = [f"it seems to be a {flag}" for flag in row["flags"] if flag in _REJECTING]
        row["verdict"] = "rejected" if row["reasons"] else "accepted"
    return rows


def missing_sides(landmarks: Sequence[str], rows: Sequence[Mapping[str, Any]], texts: set[str]) -> dict[str, str]:
    """Return for each landmark which of its sides is missing, "" if none.

    Args:
        landmarks: Ids of all landmarks, the keys of the result.
        rows: Images with landmark_id, modality and verdict; only accepted ones count.
        texts: Ids of the landmarks that have a text.

    Returns:
        Landmark id -> a reason for people, such as "no photograph and no text".
    """
    sides: dict[str, set[str]] = {landmark: {"text"} if landmark in texts else set() for landmark in landmarks}
    for row in rows:
        if row["verdict"] == "accepted" and row["landmark_id"] in sides:
            sides[row["landmark_id"]].add(row["modality"])
    wanted = {"ground": "photograph", "aerial": "aerial image", "text": "text"}
    missing = {each: [word for side, word in wanted.items() if side not in sides[each]] for each in landmarks}
    return {each: f"no {' and no '.join(words)}" if words else "" for each, words in missing.items()}


def same_items(landmarks: Sequence[Mapping[str, Any]], lacking: Mapping[str, str]) -> dict[str, str]:
    """Return the landmarks whose Wikidata item another landmark has, with the reason why the other one stays.

    Of several the largest stays, of equal ones the relation, then the lowest id: the rule of the stage `select`, which
    knows the items only as they are tagged.

    Args:
        landmarks: Rows of `LANDMARKS`.
        lacking: Landmark id -> reason; those with a reason are not looked at.
    """
    of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in landmarks:
        if row["qid"] and not lacking[row["landmark_id"]]:
            of[row["qid"]].append(row)
    found = {}
    for qid, rows in of.items():
        first, *others = sorted(rows, key=lambda row: (-row["edge_m"], row["osm_type"] != "relation", row["osm_id"]))
        for row in others:
            found[row["landmark_id"]] = f"{first['osm_type']} {first['osm_id']} is {qid}, too, and larger"
    return found


def reject_near_duplicates(rows: Sequence[dict[str, Any]], bits: int) -> None:
    """Reject images that are nearly the same as one of another split; see `_RANK` for which of the two.

    Hashes that differ in at most `bits` bits agree wholly in one of `bits` + 1 parts (multi-index hashing; Norouzi,
    Punjani and Fleet, CVPR 2012), so only those that share a part are compared.

    Args:
        rows: As of `judged_images`, with `split`; verdict and reasons are changed in place. Rejected ones and those
            with hash 0 (flat images) are neither compared nor changed.
        bits: Largest Hamming distance of two perceptual hashes of 64 bits that counts as nearly the same.
    """
    live = [row for row in rows if row["verdict"] == "accepted" and row["hash"]]
    hashes = np.array([row["hash"] for row in live], np.uint64)
    edges = np.linspace(0, 64, bits + 2).astype(int)
    for modality in ("ground", "aerial"):
        chosen = np.array([n for n, row in enumerate(live) if row["modality"] == modality], np.int64)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            part = (hashes[chosen] >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
            order = np.argsort(part, kind="stable")
            starts = np.flatnonzero(np.diff(part[order])) + 1
            for members in np.split(chosen[order], starts):
                _reject_within(live, hashes, members, bits)


def _reject_within(live: Sequence[dict[str, Any]], hashes: np.ndarray, members: np.ndarray, bits: int) -> None:
    ranks = np.array([_RANK[live[n]["split"]] for n in members.tolist()])
    if len(members) < 2 or (ranks == ranks[0]).all():
        return
    for rank in (0, 1):
        keepers, others = members[ranks == rank], members[ranks > rank]
        for n in others.tolist():
            if live[n]["verdict"] == "rejected":
                continue
            standing = [k for k in keepers.tolist() if live[k]["verdict"] == "accepted"]
            near = np.bitwise_count(hashes[standing] ^ hashes[n]) <= bits
            if near.any():
                twin = live[standing[int(np.argmax(near))]]
                live[n]["verdict"] = "rejected"
                live[n]["reasons"].append(f"it is nearly the same as {twin['image_id']} of split {twin['split']}")
