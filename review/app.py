"""Requests about raster pairs: the queue, one pair with its points and verdict, its tiles, its history."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from aiohttp import web

from raster.grid import georeferenced_homography
from review.cuts import Cuts
from review.documents import Document, digest_of_alignment, points_from_json, read_document
from review.errors import Refused
from review.exchange import exported, imported
from review.fit import fit_points_of, start_of
from review.guard import SESSION, body_of
from review.propose import propose_place
from review.queue import queue_of
from review.settling import settled
from review.sites import Site, Sites
from review.store import Store
from review.trial import Trials
from review.views import Views
from stages.rasters import SIDES

MAX_AUTOMATIC = 3000
"""Automatic tie points shown of a raster pair, evenly chosen."""

_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}


class Reviews:
    """Handlers of requests about raster pairs."""

    def __init__(self, sites: Sites, store: Store, views: Views) -> None:
        self._sites = sites
        self._store = store
        self._views = views
        self._cuts = Cuts(sites, views)
        self._trials = Trials()
        self._saving = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return what is answered where."""
        site = "/api/sites/{point}/{site}"
        return [
            web.get("/api/sites", self.queue),
            web.get(site, self.show),
            web.get(f"{site}/tag", self.tag),
            web.put(f"{site}/points", self.save_points),
            web.put(f"{site}/verdict", self.save_verdict),
            web.post(f"{site}/fit", self.fit),
            web.post(f"{site}/propose", self.propose),
            web.post(f"{site}/align", self.align),
            web.get(f"{site}/align", self.trial),
            web.delete(f"{site}/align", self.stop_trial),
            web.get(f"{site}/history", self.history),
            web.post(f"{site}/revert", self.revert),
            web.post(f"{site}/export", self.export),
            web.post(f"{site}/import", self.load),
            web.get("/tiles/{point}/{site}/{side}/{digest}/{level}/{column}/{row}", self.tile),
            web.get("/cut/{point}/{site}/{side}/{column}/{row}", self.cut),
            web.get("/thumbnail/{point}/{site}/{side}", self.thumbnail),
        ]

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._trials.stop()
        await asyncio.to_thread(self._views.close)

    def _site(self, request: web.Request) -> Site:
        return self._sites.get(f"{request.match_info['point']}/{request.match_info['site']}")

    async def queue(self, request: web.Request) -> web.Response:
        """List all raster pairs, those that need a person first."""
        return web.json_response(await asyncio.to_thread(queue_of, self._sites, self._store))

    async def show(self, request: web.Request) -> web.Response:
        """Give all that the page shows of a raster pair but its pixels."""
        site = self._site(request)
        async with self._saving:
            document = await asyncio.to_thread(self._store.get, site)
        limits = self._sites.align_params().manual
        fit = await asyncio.to_thread(fit_points_of, site, document.points, limits)
        prior = None
        with contextlib.suppress(ValueError):
            prior = georeferenced_homography(site.sides["map"].grid, site.sides["visible"].grid)[0].tolist()
        return web.json_response(
            {
                "name": site.name,
                "sides": {side: {"size": site.sides[side].size, "digest": site.sides[side].digest} for side in SIDES},
                "state": site.state,
                "reason": site.reason,
                "aligned": site.aligned,
                "review": site.review,
                "prior": prior,
                "automatic": await asyncio.to_thread(_automatic, site),
                "regions": await asyncio.to_thread(_regions, site),
                "cut": self._cuts.layout(site),
                **self._state(site, document),
                "fit": fit,
                "trial": self._trials.of(site.name),
                "prepared": self._views.progress(site),
            }
        )

    async def tag(self, request: web.Request) -> web.Response:
        """Give the present document and its tag: what somebody else may have changed."""
        site = self._site(request)
        async with self._saving:
            document = await asyncio.to_thread(self._store.get, site)
        return web.json_response(self._state(site, document))

    async def save_points(self, request: web.Request) -> web.Response:
        """Save the points of a raster pair; a verdict on other points is taken back with them."""
        site, points = self._site(request), points_from_json((await body_of(request)).get("points"))

        def change(present: Document) -> Document:
            return Document(tuple(points), present.verdict)

        return await self._save(request, site, "points", change, f"{len(points)} points")

    async def save_verdict(self, request: web.Request) -> web.Response:
        """Accept, reject, or take back what was said of a raster pair: of the alignment that the client has seen."""
        site, value, operator = self._site(request), await body_of(request), request[SESSION].operator
        limits = self._sites.align_params().manual

        def change(present: Document) -> Document:
            if value.get("verdict") is not None and value.get("alignment") != digest_of_alignment(site):
                raise Refused(412, "this raster pair was aligned anew since you opened it")
            tried = self._trials.tried(site.name, present.digest_of_points)
            return present.with_verdict(settled(site, present, value.get("verdict"), operator, limits, tried))

        said = value.get("verdict")
        words = [said.get("verdict"), said.get("reason")] if isinstance(said, dict) else ["taken back"]
        what = " ".join(word for word in words if isinstance(word, str) and word)
        return await self._save(request, site, "verdict", change, what)

    async def revert(self, request: web.Request) -> web.Response:
        """Give a raster pair a state that it had, as a new state."""
        site, number = self._site(request), (await body_of(request)).get("number")
        found = self._store.writable().state(number) if isinstance(number, int) else None
        if found is None or found[0].site != site.name or found[0].action == "tiles":
            raise Refused(404, "there is no such state of this raster pair")
        document = Document.from_json(found[1])
        return await self._save(request, site, "revert", lambda _: document, f"back to {number}")

    async def _save(self, request: web.Request, site: Site, action: str, change: Any, summary: str) -> web.Response:
        tag = request.headers.get("If-Match", "").strip('"')
        if not tag:
            raise Refused(428, "a write names the state that it follows: If-Match")
        operator = request[SESSION].operator
        async with self._saving:
            document = await asyncio.to_thread(self._store.save, site, tag, operator, action, change, summary)
        return web.json_response(self._state(site, document), headers={"ETag": f'"{document.tag}"'})

    def _state(self, site: Site, document: Document) -> dict[str, Any]:
        """Return a document with its tag, whether its verdict is in force, the digest of the present alignment, and by
        what pairs are cut."""
        verdict, alignment = document.verdict, digest_of_alignment(site)
        holds = verdict is None or verdict.holds(alignment, document.digest_of_points)
        state = {"document": document.to_json(), "tag": document.tag, "holds": holds, "alignment": alignment}
        tried = self._trials.tried(site.name, document.digest_of_points)
        return state | {"cut_by": self._cuts.by(site, document, tried)}

    async def fit(self, request: web.Request) -> web.Response:
        """Say what points imply, without saving them."""
        site, points = self._site(request), points_from_json((await body_of(request)).get("points"))
        limits = self._sites.align_params().manual
        return web.json_response(await asyncio.to_thread(fit_points_of, site, points, limits))

    async def propose(self, request: web.Request) -> web.Response:
        """Say where map and image correlate best around a point."""
        site, value = self._site(request), await body_of(request)
        point = points_from_json([value.get("point")])[0]
        points = points_from_json(value.get("points", []))
        limits = self._sites.align_params().manual

        def work() -> Any:
            start = start_of(site, fit_points_of(site, points, limits))
            with self._views.pair(site) as pair:
                return propose_place(pair, start, (point.map_x, point.map_y), (point.visible_x, point.visible_y))

        return web.json_response(await asyncio.to_thread(work))

    async def align(self, request: web.Request) -> web.Response:
        """Begin to align with the points as they are saved; nothing is recorded."""
        site = self._site(request)
        self._store.writable()
        document = await asyncio.to_thread(read_document, self._sites.root, site)
        digest = document.digest_of_points
        await self._trials.start(site, document.points, digest, self._sites.align_params())
        return web.json_response(self._trials.of(site.name), status=202)

    async def trial(self, request: web.Request) -> web.Response:
        """Say how the alignment that was begun stands."""
        return web.json_response(self._trials.of(self._site(request).name))

    async def stop_trial(self, request: web.Request) -> web.Response:
        """Stop it."""
        self._site(request)
        await self._trials.stop()
        return web.json_response({"state": "none"})

    async def history(self, request: web.Request) -> web.Response:
        """List who changed what, the latest first."""
        site = self._site(request)
        journal = self._store.journal
        return web.json_response([asdict(entry) for entry in journal.of(site.name)] if journal is not None else [])

    async def export(self, request: web.Request) -> web.Response:
        """Give points as the content of a file of one of the three forms."""
        site, value = self._site(request), await body_of(request)
        points = points_from_json(value.get("points"))
        return web.json_response({"text": exported(site, points, value.get("form"))})

    async def load(self, request: web.Request) -> web.Response:
        """Read the content of a file of tie points; nothing is saved."""
        site, value = self._site(request), await body_of(request)
        points = await asyncio.to_thread(
            imported, site, value.get("name"), value.get("text"), request[SESSION].operator
        )
        return web.json_response({"points": [asdict(point) for point in points]})

    async def tile(self, request: web.Request) -> web.Response:
        """Give a tile of a raster. The address names its digest, so a browser may keep it for good."""
        site, asked = self._site(request), request.match_info
        side = site.sides.get(asked["side"])
        if side is None or side.digest != asked["digest"]:
            raise Refused(404, "there is no such raster")
        place = [_whole(asked[name]) for name in ("level", "column", "row")]
        look = "edges" if request.query.get("look") == "edges" else ""
        body, kind = await self._views.tile(side, place[0], place[1], place[2], look)
        return web.Response(body=body, content_type=kind, headers=_FOREVER)

    async def thumbnail(self, request: web.Request) -> web.Response:
        """Give a raster as a small picture."""
        side = self._site(request).sides.get(request.match_info["side"])
        if side is None:
            raise Refused(404, "there is no such raster")
        headers = {"Cache-Control": "private, max-age=3600"}
        return web.Response(body=await self._views.thumbnail(side), content_type="image/jpeg", headers=headers)

    async def cut(self, request: web.Request) -> web.Response:
        """Give a side of a pair as it will be cut with the points as they are saved; no content where none will be."""
        site, asked = self._site(request), request.match_info
        column, row = _whole(asked["column"]), _whole(asked["row"])

        def work() -> bytes | None:
            document = read_document(self._sites.root, site)
            alignment = self._cuts.alignment(site, document, self._trials.tried(site.name, document.digest_of_points))
            return self._cuts.image(site, asked["side"], column, row, alignment)

        body = await asyncio.to_thread(work)
        return web.Response(status=204) if body is None else web.Response(body=body, content_type="image/png")


def _automatic(site: Site) -> list[list[float]]:
    """Return automatic tie points of the last pass: map x, y, visible x, y, and whether each was used (1 or 0)."""
    if site.alignment is None:
        return []
    path: Path = site.alignment[0].with_suffix(".parquet")
    if not path.is_file():
        return []
    columns = ["origin", "step", "map_x", "map_y", "visible_x", "visible_y", "used"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    found = [row for row in rows if row["origin"] == "automatic" and row["step"] == "last"]
    every = max(1, -(-len(found) // MAX_AUTOMATIC))
    return [[*(row[name] for name in columns[2:6]), float(bool(row["used"]))] for row in found[::every]]


def _regions(site: Site) -> list[list[Any]]:
    """Return what was decided of each region: left, top, right, bottom (visible px), whether it is accepted, reason."""
    if site.alignment is None:
        return []
    path = site.alignment[0].with_name("regions.parquet")
    if not path.is_file():
        return []
    columns = ["left", "top", "right", "bottom", "verdict", "reason"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    return [[*(row[name] for name in columns[:4]), row["verdict"] == "accepted", row["reason"]] for row in rows]


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise Refused(404, "there is no such tile")
    return int(text)
