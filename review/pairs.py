"""Requests about pairs of tiles: the gallery's rows, their images, and verdicts on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aiohttp import web

from pipeline.workspace import now
from review.errors import Refused
from review.gallery import Gallery, Query, seen
from review.guard import SESSION, body_of
from review.journal import Journal
from review.sites import Sites
from review.store import Store
from stages.rasters import SIDES
from stages.review.verdicts import MAX_TEXT, REASONS, TileVerdict, tiles_file, write_tile_verdicts
from stages.tile.encode import TileFormat, encode

MAX_AT_ONCE = 5000
"""Pairs judged by one request."""

_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


class Pairs:
    """Handlers of requests about pairs of tiles."""

    def __init__(self, sites: Sites, gallery: Gallery, store: Store) -> None:
        self._sites = sites
        self._gallery = gallery
        self._store = store
        self._writing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered where."""
        return [
            web.get("/api/pairs", self.summary),
            web.get("/api/pairs/rows", self.rows),
            web.get("/api/pairs/ids", self.ids),
            web.put("/api/pairs", self.judge),
            web.post("/api/pairs/revert", self.revert),
            web.get("/pair/{id}/{side}", self.image),
        ]

    async def summary(self, request: web.Request) -> web.Response:
        """Say how many pairs a query finds, and give the first rows."""
        count = _whole(request.query.get("count", "0"), "count")
        return web.json_response(await asyncio.to_thread(self._gallery.summary, _query(request.query), count))

    async def rows(self, request: web.Request) -> web.Response:
        """Give some rows of a query."""
        offset, count = (_whole(request.query.get(name, "0"), name) for name in ("offset", "count"))
        return web.json_response(await asyncio.to_thread(self._gallery.rows, _query(request.query), offset, count))

    async def ids(self, request: web.Request) -> web.Response:
        """Give the ids of all pairs that a query finds, if they are few enough to be judged at once, with what
        `judge` asks for."""
        query = _query(request.query)
        count = await asyncio.to_thread(self._gallery.count, query)
        if count > MAX_AT_ONCE:
            raise Refused(422, f"{count} pairs, at most {MAX_AT_ONCE} are judged at once: narrow the filter")
        return web.json_response(await asyncio.to_thread(self._gallery.found, query))

    async def judge(self, request: web.Request) -> web.Response:
        """Keep, reject, or take back what was said, of many pairs at once; say by which steps one can go back."""
        self._store.writable()
        pairs, verdict, reason = _judgement(await body_of(request))
        operator = request[SESSION].operator
        async with self._writing:
            rows: dict[str, list[Mapping[str, Any]]] = {}
            anew = []
            for pair_id, shown in pairs.items():
                row = await asyncio.to_thread(self._gallery.row, pair_id)
                rows.setdefault(f"{row['point_id']}/{row['site_id']}", []).append(row)
                if shown != seen(row):
                    anew.append(pair_id)
            if anew:
                raise Refused(412, f"{len(anew)} pairs were cut anew since they were shown: look again")
            steps = []
            for name, judged in rows.items():
                self._sites.get(name)
                said = {each.pair_id: each for each in self._gallery.judged(name)}
                for row in judged:
                    said.pop(row["pair_id"], None)
                    if verdict is not None:
                        digests = row["map_digest"], row["visible_digest"]
                        said[row["pair_id"]] = TileVerdict(row["pair_id"], verdict, reason, operator, now(), *digests)
                what = f"{verdict or 'take back'} {len(judged)} pairs" + (f": {reason}" if reason else "")
                steps.append(self._change(name, list(said.values()), operator, what))
        return web.json_response({"judged": len(pairs), "steps": steps})

    async def revert(self, request: web.Request) -> web.Response:
        """Give the pairs of sites what was said of them at former steps, where nobody has said anything since."""
        journal = self._store.writable()
        asked, operator = (await body_of(request)).get("steps"), request[SESSION].operator
        if not isinstance(asked, list) or not all(isinstance(step, dict) for step in asked):
            raise Refused(422, "steps must be a list of site, back_to and present")
        async with self._writing:
            found = []
            for step in asked:
                name = self._sites.get(str(step.get("site"))).name
                states = [_tiles_state(journal, name, step.get(key)) for key in ("back_to", "present")]
                if _ordered(self._gallery.judged(name)) != _ordered(states[1]):
                    raise Refused(409, f"somebody judged pairs of {name} since; look at its history")
                found.append((name, states[0], f"back to {step['back_to']}"))
            steps = [self._change(name, said, operator, what) for name, said, what in found]
        return web.json_response({"steps": steps})

    def _change(self, name: str, said: list[TileVerdict], operator: str, what: str) -> dict[str, Any]:
        """Journal and write the verdicts of a site; return the numbers of the journal's states before and after."""
        journal = self._store.writable()
        present, last = self._gallery.judged(name), journal.last(name, tiles=True)
        if last is None or _ordered(_tiles_state(journal, name, last.number)) != _ordered(present):
            outside = "before the first change here" if last is None else "changed outside the page"
            last = journal.append("", name, "tiles", "", "", [vars(each) for each in present], outside)
        with journal.entered(operator, name, "tiles", "", "", [vars(each) for each in said], what) as entry:
            write_tile_verdicts(tiles_file(self._sites.root, name), said)
        self._gallery.said(name, said)
        return {"site": name, "back_to": last.number, "present": entry.number}

    async def image(self, request: web.Request) -> web.StreamResponse:
        """Give one side of a pair, from its file or out of the array that holds it."""
        side = request.match_info["side"]
        if side not in SIDES:
            raise Refused(404, "a pair has a map and a visible image")
        row = await asyncio.to_thread(self._gallery.row, request.match_info["id"])
        path = self._sites.within(row[f"{side}_path"])
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        if row["format"] == "npy":
            body = await asyncio.to_thread(_of_array, path, row["index"])
            return web.Response(body=body, content_type="image/png", headers=headers)
        if path.suffix not in _TYPES:
            raise Refused(404, "that is no image")
        body = await asyncio.to_thread(path.read_bytes)
        return web.Response(body=body, content_type=_TYPES[path.suffix], headers=headers)


def _of_array(path: Any, index: int) -> bytes:
    array = np.load(path, mmap_mode="r")
    tile = np.ascontiguousarray(array[index])
    return encode(tile, TileFormat.PNG, 0)


def _tiles_state(journal: Journal, name: str, number: Any) -> list[TileVerdict]:
    """Return the verdicts of a site after an entry of the journal. Raises Refused (404) where there is none."""
    found = journal.state(number) if isinstance(number, int) else None
    if found is None or (found[0].site, found[0].action) != (name, "tiles"):
        raise Refused(404, "there is no such state of the pairs of this raster pair")
    return [TileVerdict(**each) for each in found[1]]


def _ordered(said: Sequence[TileVerdict]) -> list[TileVerdict]:
    return sorted(said, key=lambda each: each.pair_id)


def _judgement(value: Mapping[str, Any]) -> tuple[dict[str, Any], str | None, str]:
    """Return ids with the tiles that were shown, verdict and reason of a request. Raises Refused (422)."""
    pairs, verdict, reason = value.get("pairs"), value.get("verdict"), value.get("reason", "")
    if not isinstance(pairs, dict) or not 0 < len(pairs) <= MAX_AT_ONCE:
        raise Refused(422, f"pairs must be an object: for 1 to {MAX_AT_ONCE} ids what the row calls `seen`")
    if verdict not in ("keep", "reject", None):
        raise Refused(422, "verdict may be keep, reject or null")
    reason = " ".join(reason.split()) if isinstance(reason, str) else ""
    if verdict == "reject" and not reason:
        raise Refused(422, f"a rejection needs a reason, such as {REASONS[0]!r}")
    return pairs, verdict, reason[:MAX_TEXT]


def _query(given: Mapping[str, str]) -> Query:
    names = ("site", "split", "verdict", "rule", "person", "statistic", "text")
    texts: dict[str, Any] = {name: given.get(name, "") for name in names}
    low, high = (_number(given[name], name) if given.get(name) else None for name in ("low", "high"))
    order = {"": None, "ascending": False, "descending": True}.get(given.get("order", ""))
    return replace(Query(**texts), low=low, high=high, descending=order)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refused(422, f"{name} must be a number") from None


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(422, f"{name} must be a whole number") from None
