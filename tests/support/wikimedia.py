"""A small Wikimedia on loopback, with the habits of the real one, and a log of everything that it was asked.

Wikidata, Commons and a Wikipedia are paths of one host, pictures are another host, and a third must never be asked.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from loopback import Loopback
from osm_squares import osm_squares
from PIL import Image
from tile_server import tile_at

WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
FREE = {
    "License": "cc-by-sa-4.0",
    "LicenseShortName": "CC BY-SA 4.0",
    "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
}
PAGE = 3
"""Files a page of a category, so that answers go on."""


@dataclass
class Asked:
    """A request as the server saw it."""

    kind: str
    address: str
    agent: str
    token: str
    started: float
    ended: float = 0.0
    status: int = 0
    bytes: int = 0
    given: bool = False  # whether it was answered with what was asked for


@dataclass
class World:
    """What the wikis hold: entities, files by category, files, articles, pictures of articles."""

    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    categories: dict[str, list[str]] = field(default_factory=dict)
    subcategories: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    articles: dict[str, str] = field(default_factory=dict)
    article_files: dict[str, list[str]] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)


def photograph(seed: int, size: tuple[int, int] = (960, 640)) -> bytes:
    """Return a JPEG of some 300 kB that no other seed gives."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 255, (12, 16, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = draw.integers(-28, 28, (size[1], size[0], 1))
    pixels = np.clip(np.asarray(coarse).astype(int) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class WikimediaServer(Loopback):
    """Serves a `World`; a context manager.

    Attributes:
        log: All requests.
        most: Greatest number at once, by kind ("api", "file").
        maxlag: Calls, counted from 1, that are told with status 200 that the databases lag.
        throttled: Files, counted from 1, that are answered 429 with Retry-After.
    """

    def __init__(self, world: World, maxlag: tuple[int, ...] = (), throttled: tuple[int, ...] = ()) -> None:
        super().__init__(self._api, self._file, self._foreign)
        self.world = world
        self.maxlag, self.throttled = set(maxlag), set(throttled)
        self.log: list[Asked] = []
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._count: Counter[str] = Counter()

    def __enter__(self) -> WikimediaServer:
        super().__enter__()
        self.api, self.files, self.foreign = self.hosts
        return self

    def settings(self, **further: Any) -> dict[str, Any]:
        """Return the `wikimedia` of a configuration that asks this server."""
        return {
            "contact": "https://mapdata.invalid/contact",
            "calls_per_hour": 1e7,
            "wait_s": 0.05,
            "wikidata": f"http://{self.api}/wikidata/w/api.php",
            "commons": f"http://{self.api}/commons/w/api.php",
            "wikipedia": f"http://{self.api}/{{language}}/w/api.php",
            "file_hosts": [self.files],
            **further,
        }

    def asked(self, kind: str) -> list[Asked]:
        """Return the requests of a kind."""
        return [each for each in self.log if each.kind == kind]

    def _begin(self, kind: str, request: web.Request) -> Asked:
        headers = request.headers
        token = headers.get("Authorization", "")
        asked = Asked(kind, request.path_qs, headers.get("User-Agent", ""), token, time.monotonic())
        self.log.append(asked)
        self._now[kind] += 1
        self._count[kind] += 1
        self.most[kind] = max(self.most[kind], self._now[kind])
        return asked

    def _end(self, asked: Asked, response: web.StreamResponse) -> None:
        self._now[asked.kind] -= 1
        asked.ended, asked.status = time.monotonic(), response.status

    async def _foreign(self, request: web.Request) -> web.StreamResponse:
        self._end(self._begin("foreign", request), web.Response())
        return web.Response(body=photograph(0), content_type="image/jpeg")

    async def _api(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/tiles/"):
            return web.Response(body=tile_at(request.path), content_type="image/jpeg")
        asked = self._begin("api", request)
        await asyncio.sleep(0.01)
        response: web.StreamResponse
        if self._count["api"] in self.maxlag:
            error = {"error": {"code": "maxlag", "info": "Waiting for db1: 7 seconds lagged.", "lag": 7}}
            response = web.json_response(error, headers={"Retry-After": "1"})
        else:
            document = self._document(request.path.split("/")[1], dict(request.query))
            response = web.json_response(document)
            response.enable_compression(web.ContentCoding.gzip)
            asked.given = True
        self._end(asked, response)
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        asked = self._begin("file", request)
        response: web.StreamResponse = web.Response(status=499)
        try:
            response = await self._file_response(request, asked)
        except ConnectionError:
            pass  # whoever asked was killed
        finally:
            self._end(asked, response)
        return response

    async def _file_response(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        _, _, name, reduced = request.path.split("/")
        if self._count["file"] in self.throttled:
            return web.Response(status=429, headers={"Retry-After": "1"})
        if int(reduced.partition("px-")[0]) not in WIDTHS:
            return web.Response(status=429)
        known = self.world.files[f"File:{name}"]
        if known.get("gone"):
            asked.given = True
            return web.Response(status=404)
        if target := known.get("moved"):
            asked.given = True
            return web.Response(status=301, headers={"Location": target.replace("FOREIGN", self.foreign)})
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        body = photograph(known["seed"])
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(0, len(body), 1 << 15):
            await response.write(body[start : start + (1 << 15)])
            asked.bytes += len(body[start : start + (1 << 15)])
        await response.write_eof()
        asked.given = True
        return response

    def _document(self, wiki: str, query: Mapping[str, str]) -> dict[str, Any]:
        assert (query["format"], query["formatversion"], query["maxlag"]) == ("json", "2", "5")
        if query["action"] == "wbgetentities":
            ids = query["ids"].split("|")
            assert len(ids) <= 50
            found = {}
            for each in ids:
                target = self.world.redirects.get(each, each)
                entity = self.world.entities.get(target)
                found[each] = {"id": each, "missing": ""} if entity is None else {"id": target, **entity}
            return {"entities": found, "success": 1}
        assert query["redirects"] == "1"
        if query.get("list") == "categorymembers":
            names = self.world.subcategories.get(query["cmtitle"].partition(":")[2], [])
            return {"query": {"categorymembers": [{"ns": 14, "title": f"Category:{name}"} for name in names]}}
        if query.get("generator") == "categorymembers":
            return self._members(query)
        if query.get("generator") == "images":
            shared = {"ns": 6, "missing": True, "known": True, "imagerepository": "shared"}
            titles = self.world.article_files.get(query["titles"], [])
            return {"batchcomplete": True, "query": {"pages": [{"title": title, **shared} for title in titles]}}
        titles = query["titles"].split("|")
        assert len(titles) <= 50
        return {"batchcomplete": True, "query": {"pages": [self._page(title, query) for title in titles]}}

    def _members(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of a category's files; the second file's description comes in a part of its own."""
        titles = self.world.categories.get(query["gcmtitle"].partition(":")[2], [])
        start = int(query.get("gcmcontinue", "0"))
        some = titles[start : start + PAGE]
        late = some[1:2]
        parted = "iicontinue" in query
        pages = []
        for title in some:
            page = self._page(title, query)
            if (title in late) != parted:
                page.pop("imageinfo", None)
            pages.append(page)
        document: dict[str, Any] = {"query": {"pages": pages}}
        if late and not parted:
            document["continue"] = {"iicontinue": late[0], "gcmcontinue": str(start), "continue": "gcmcontinue||"}
        elif start + PAGE < len(titles):
            document["continue"] = {"gcmcontinue": str(start + PAGE), "continue": "gcmcontinue||"}
        return document

    def _page(self, title: str, query: Mapping[str, str]) -> dict[str, Any]:
        props = query.get("prop", "")
        if "pageprops" in props:
            item = self.world.items.get(title)
            return {"title": title, "pageprops": {"wikibase_item": item}} if item else {"title": title, "missing": True}
        if "extracts" in props:
            text = self.world.articles.get(title)
            if text is None:
                return {"title": title, "missing": True}
            address = f"https://en.wikipedia.org/wiki/{title.replace(' ', '_')}"
            return {"title": title, "extract": text, "lastrevid": 77, "fullurl": address}
        if "imageinfo" in props:
            return self._image(title, query)
        return {"title": title} | ({} if title.partition(":")[2] in self.world.categories else {"missing": True})

    def _image(self, title: str, query: Mapping[str, str]) -> dict[str, Any]:
        known = self.world.files.get(title)
        if known is None or known.get("deleted"):
            return {"title": title, "missing": True}
        name = title.partition(":")[2]
        info = {
            "url": f"http://{self.files}/full/{name}",
            "thumburl": f"http://{self.files}/thumb/{name}/{query['iiurlwidth']}px-{name}",
            "descriptionurl": f"https://commons.wikimedia.org/wiki/{title}",
            "mime": known.get("mime", "image/jpeg"),
            "sha1": f"{known['seed']:040x}",
            "extmetadata": {name: {"value": value, "source": "x"} for name, value in known["said"].items()},
        }
        return {"title": title, "imageinfo": [info]}


def statement(value: Any, rank: str = "normal", snaktype: str = "value") -> dict[str, Any]:
    """Return a Wikidata statement."""
    snak: dict[str, Any] = {"snaktype": snaktype}
    if snaktype == "value":
        snak["datavalue"] = {"value": value}
    return {"mainsnak": snak, "rank": rank}


def small_world(landmarks: int, photographs: int) -> tuple[World, str]:
    """Return a world with so many landmarks, and their OpenStreetMap extract (XML). The first has all specimens."""
    world = World()
    squares = []
    for n in range(landmarks):
        qid, name, category = f"Q{1000 + n}", f"Hall {n}", f"Hall {n} (building)"
        lon, lat = -100 + 0.1 * n, 40 + 0.05 * n
        # The last is known by its article alone.
        wiki = {"wikidata": qid} if n < landmarks - 1 else {"wikipedia": f"en:{name}"}
        squares.append((lon, lat, {"building": "yes", **wiki}))
        place = {"longitude": lon + 0.0005, "latitude": lat + 0.0005, "globe": "http://www.wikidata.org/entity/Q2"}
        world.entities[qid] = {
            "labels": {"en": {"value": name}},
            "sitelinks": {"enwiki": {"title": name}, "commonswiki": {"title": f"Category:{category}"}},
            "claims": {
                "P625": [statement(place)],
                "P31": [statement({"id": "Q1"}, "deprecated"), statement({"id": "Q300"})],
                "P131": [statement({"id": "Q400"})],
            },
        }
        world.items[name] = qid
        world.articles[name] = (
            f"{name} is a town hall in Springfield, Nebraska. It was built by St. John & Sons.\n\n\n== History ==\n"
            f"It was finished in 1912.\n\n\n== See also ==\nHalls\n\n\n== References ==\n=== Sources ===\nA book\n"
        )
        titles = []
        for k in range(photographs):
            title = f"File:Hall-{n}-{k}.jpg"
            world.files[title] = {
                "seed": n * 100 + k + 1,
                "said": {**FREE, "Artist": f"<a href='x'>Ann&amp;Bob {k}</a>"},
            }
            titles.append(title)
        world.categories[category] = titles
    _add_specimens(world, "Hall 0 (building)")
    for qid, label, claims in (
        ("Q300", "town hall", {"P279": [statement({"id": "Q301"})]}),
        ("Q301", "public building", {}),
        ("Q400", "Springfield", {"P131": [statement({"id": "Q401"})]}),
        ("Q401", "Nebraska", {"P31": [statement({"id": "Q35657"})]}),
    ):
        world.entities[qid] = {"labels": {"en": {"value": label}}, "claims": claims}
    return world, osm_squares(squares)


def _add_specimens(world: World, category: str) -> None:
    said = {**FREE, "Artist": "Ann"}
    specimens: dict[str, dict[str, Any]] = {
        "gone": {"gone": True, "said": said},
        "moved": {"moved": "/thumb/Renamed.jpg/960px-Renamed.jpg", "said": said},
        "abroad": {"moved": "http://FOREIGN/thumb/x/960px-x.jpg", "said": said},
        "noncommercial": {"said": {"License": "cc-by-nc-4.0", "LicenseShortName": "CC BY-NC 4.0"}},
        "noderivatives": {"said": {"LicenseShortName": "CC BY-ND 3.0"}},
        "unlicensed": {"said": {"Artist": "Ann"}},
        "nonfree": {"said": {**FREE, "NonFree": "true"}},
        "drawing": {"mime": "image/svg+xml", "said": said},
        "deleted": {"deleted": True, "said": said},
        "nameless": {"said": FREE},
        "markup": {
            "said": {
                **FREE,
                "Artist": '<div class="x"><style>.y{}</style><b>Eve</b><br/>of <a href="//z">Z &lt;3</a></div>',
                "DateTimeOriginal": '<time datetime="2011-05-04">4 May 2011 (2011-05-04)</time>',
            }
        },
    }
    below = []
    for n, (name, file) in enumerate(specimens.items()):
        title = f"File:Specimen-{name}.jpg"
        world.files[title] = {"seed": 9000 + n, **file}
        below.append(title)
    world.subcategories[category] = ["Specimens", category]  # the second in a circle
    world.categories["Specimens"] = below
    world.files["File:Renamed.jpg"] = {"seed": 9901, "said": said}
    world.files["File:Article.jpg"] = {"seed": 9900, "said": said}
    world.article_files["Hall 0"] = ["File:Article.jpg"]
