"""Source `wikidata` of the stage `resolve`: the pages, the class and the state of each candidate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field
from pyproj import Geod

from stages.landmarks.sources import HostLoad, PageSource, Row
from stages.landmarks.wikimedia.answers import (
    Json,
    coordinates,
    is_set,
    items,
    labels_of,
    pages_of,
    renamed,
    sitelink,
    values,
)  # fmt: skip
from stages.landmarks.wikimedia.session import Session, Wikimedia

_GEOD = Geod(ellps="WGS84")
_BATCH = 50
_CATEGORY = "Category:"
_LEVELS = 7
"""Steps up from an object to the country that it lies in."""

_INSTANCE, _SUBCLASS, _WITHIN, _COMMONS = "P31", "P279", "P131", "P373"


class WikidataPages(PageSource):
    """Looks candidates up in Wikidata, those without an item by the title of their article."""

    KEYLESS: ClassVar[frozenset[str]] = frozenset({"wikimedia"})
    kind: Literal["wikidata"] = "wikidata"
    wikimedia: Wikimedia = Field(description="How Wikimedia is asked.")
    language: str = Field("en", description="Language of the article that a landmark must have, and of labels.")
    most_distance_m: float = Field(
        500.0, gt=0, description="Greatest distance of the item's coordinate from the object's box, metres."
    )
    state_class: str = Field(
        "Q35657", pattern=r"^Q[1-9]\d*$", description="Class of the units that are states: Q35657 of the United States."
    )
    levels: int = Field(3, ge=1, le=6, description="Classes in a hierarchical category.")

    def resolved(self, candidates: Sequence[Row], workspace: Path) -> tuple[Sequence[Row], Sequence[Row]]:
        """Resolve a batch; see `PageSource`."""
        with Session(self.wikimedia, workspace) as session:
            return session.wait(self._resolved(session, candidates))

    def problems(self) -> list[str]:
        """Return a contact that is not yours."""
        return self.wikimedia.problems()

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Count a call for each 50 candidates, and as many again for the classes and places that they share."""
        calls = 2 * -(-landmarks // _BATCH)
        rate = self.wikimedia.api_limits.requests_per_second
        return {urlsplit(self.wikimedia.wikidata).netloc: HostLoad(calls, calls * 400_000, rate)}

    async def _resolved(self, session: Session, candidates: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
        known = await self._by_title(session, [row for row in candidates if not row["qid"]])
        wanted = {
            str(row["landmark_id"]): str(row["qid"] or known.get(str(row["landmark_id"]), "")) for row in candidates
        }
        entities = await self._entities(session, wanted.values(), "sitelinks|claims|labels")
        kept, rejected = [], []
        for row in candidates:
            qid = wanted[str(row["landmark_id"])]
            entity = entities.get(qid)
            reason = self._reason(row, qid, entity)
            if reason or entity is None:
                rejected.append(_rejection(row, reason))
            else:
                kept.append((dict(row), entity))
        missing = await self._missing_categories(session, [entity for _, entity in kept])
        rows = []
        for row, entity in kept:
            category = _category(entity)
            if category in missing:
                rejected.append(_rejection(row, "its Commons category does not exist"))
            else:
                rows.append(await self._completed(session, row, entity, category))
        return rows, rejected

    def _reason(self, row: Row, qid: str, entity: Json | None) -> str:
        """Say why a candidate is no landmark, or nothing."""
        if not qid:
            return "its article has no Wikidata item, or does not exist"
        if entity is None:
            return f"Wikidata has no item {qid}"
        if not sitelink(entity, f"{self.language}wiki"):
            return f"it has no article in the language {self.language!r}"
        if not _category(entity):
            return "it has no category on Commons"
        places = coordinates(entity)
        distance = min((box_distance_m(row, lon, lat) for lon, lat in places), default=0.0)
        if distance > self.most_distance_m:
            return f"Wikidata places it {distance:.0f} m away, at most {self.most_distance_m:g} m are allowed"
        return ""

    async def _completed(self, session: Session, row: dict[str, Any], entity: Json, category: str) -> dict[str, Any]:
        state, places = await self._place(session, entity)
        classes = await self._classes(session, entity)
        return row | {
            "qid": str(entity["id"]),
            "name": row["name"] or labels_of(entity, self.language),
            "wikipedia": f"{self.language}:{sitelink(entity, f'{self.language}wiki')}",
            "commons_category": category,
            "category": classes[0] if classes else row["category"],
            "hierarchical_category": "/".join(reversed(classes)),
            "state": state,
            "places": places,
        }

    async def _by_title(self, session: Session, rows: Sequence[Row]) -> dict[str, str]:
        """Return landmark_id -> item of candidates that are known by their article only."""
        titles: dict[str, dict[str, str]] = {}
        for row in rows:
            language, title = article_title(str(row["wikipedia"]), self.language)
            titles.setdefault(language, {})[str(row["landmark_id"])] = title
        found = {}
        for language, wanted in sorted(titles.items()):
            asked = "|".join(sorted(set(wanted.values())))
            parameters = {"titles": asked, "prop": "pageprops", "ppprop": "wikibase_item"}
            names: dict[str, str] = {}
            items_by_title: dict[str, str] = {}
            async for document in session.query(session.rules.wiki(language), parameters):
                names |= renamed(document)
                for page in pages_of(document):
                    item = (page.get("pageprops") or {}).get("wikibase_item")
                    if item and not is_set(page, "missing"):
                        items_by_title[str(page.get("title"))] = str(item)
            for landmark, title in wanted.items():
                item = items_by_title.get(names.get(title, title)) or items_by_title.get(title)
                if item:
                    found[landmark] = item
        return found

    async def _entities(self, session: Session, ids: Iterable[str], props: str) -> dict[str, Json]:
        """Return entities by the id that was asked for. Each is kept by itself: many objects lie in the same state."""
        wanted = sorted({each for each in ids if each}, key=lambda each: (len(each), each))
        found = self._known(session, wanted, props)
        if len(found) == len(wanted):
            return {each: entity for each, entity in found.items() if entity}
        async with session.store.claimed("wikidata entities"):
            found = self._known(session, wanted, props)
            lacking = [each for each in wanted if each not in found]
            for start in range(0, len(lacking), _BATCH):
                some = lacking[start : start + _BATCH]
                # Here `redirects` is "yes" or "no", not 1 as elsewhere; "yes" is the default.
                asked = {"action": "wbgetentities", "ids": "|".join(some), "props": props}
                if "labels" in props:
                    asked["languages"] = "|".join(dict.fromkeys((self.language, "en", "mul")))
                document = await session.ask(session.rules.wikidata, asked)
                answered = _by_requested_id(document)
                for each in some:
                    entity = answered.get(each, {})
                    session.store.put(f"wikidata {each} {props}", json.dumps(entity, sort_keys=True).encode())
                    found[each] = entity
        return {each: entity for each, entity in found.items() if entity}

    @staticmethod
    def _known(session: Session, ids: Sequence[str], props: str) -> dict[str, Json]:
        kept = {each: session.store.get(f"wikidata {each} {props}")[1] for each in ids}
        return {each: json.loads(body) for each, body in kept.items() if body is not None}

    async def _missing_categories(self, session: Session, entities: Sequence[Json]) -> set[str]:
        """Return the categories that only P373 names and that Commons does not have. A link to a page proves it."""
        stated = sorted({_category(each) for each in entities if not _linked_category(each)})
        if not stated:
            return set()
        parameters = {"titles": "|".join(_CATEGORY + name for name in stated), "prop": "info"}
        missing: set[str] = set()
        async for document in session.query(session.rules.commons, parameters):
            missing |= {
                str(page.get("title")).removeprefix(_CATEGORY) for page in pages_of(document) if is_set(page, "missing")
            }
        return missing

    async def _place(self, session: Session, entity: Json) -> tuple[str, list[str]]:
        """Return the state that an object lies in, "" if none is found, and the names of all that it lies in."""
        state, names, seen = "", list[str](), set[str]()
        level = items(entity, _WITHIN)
        for _ in range(_LEVELS):
            level = [each for each in dict.fromkeys(level) if each not in seen]
            if not level or state:
                break
            seen.update(level)
            units = await self._entities(session, level, "claims|labels")
            level = []
            for each in sorted(units):
                label = labels_of(units[each], self.language)
                names += [label] if label else []
                if self.state_class in items(units[each], _INSTANCE):
                    state = state or label
                level += items(units[each], _WITHIN)
        return state, sorted(set(names))

    async def _classes(self, session: Session, entity: Json) -> list[str]:
        """Return the labels of an object's first class and of the classes above it, each the first that is stated."""
        classes: list[str] = []
        level = items(entity, _INSTANCE)
        while level and len(classes) < self.levels:
            units = await self._entities(session, level[:1], "claims|labels")
            unit = units.get(level[0])
            label = labels_of(unit, self.language) if unit is not None else ""
            if unit is None or not label or label in classes:
                break
            classes.append(label)
            level = items(unit, _SUBCLASS)
        return classes


def article_title(tag: str, default: str) -> tuple[str, str]:
    """Return language and title that a tag `wikipedia` names: "en:Title", "Title", or the address of an article.

    Args:
        tag: Value of the OpenStreetMap tag.
        default: Language where the tag names none.

    Returns:
        The title with spaces in place of underscores. A colon that follows no language code belongs to the title.
    """
    if "://" in tag:
        parts = urlsplit(tag)
        language = (parts.hostname or default).partition(".")[0]
        return ("en" if language == "www" else language), unquote(parts.path.rpartition("/wiki/")[2]).replace("_", " ")
    language, colon, title = tag.partition(":")
    if colon and 2 <= len(language) <= 12 and language.islower() and language.replace("-", "").isalpha():
        return language, title.strip().replace("_", " ")
    return default, tag.strip().replace("_", " ")


def box_distance_m(row: Row, lon: float, lat: float) -> float:
    """Return the distance on the ground from a place to an object's box, 0 within it.

    Args:
        row: Has min_lon, min_lat, max_lon and max_lat, WGS84 degrees; the box does not cross the antimeridian.
        lon: WGS84 longitude of the place, degrees.
        lat: WGS84 latitude of the place, degrees.

    Returns:
        Metres along the geodesic to the box's nearest point in degrees.
    """
    near = (min(max(lon, row["min_lon"]), row["max_lon"]), min(max(lat, row["min_lat"]), row["max_lat"]))
    return float(_GEOD.line_length([lon, near[0]], [lat, near[1]]))


def _by_requested_id(document: Json) -> dict[str, Json]:
    """Return entities by the id that was asked for, which a merged item answers under its own."""
    found: dict[str, Json] = {}
    entities = document.get("entities")
    for key, entity in entities.items() if isinstance(entities, dict) else ():
        if not isinstance(entity, dict) or is_set(entity, "missing"):
            continue
        origin = (entity.get("redirects") or {}).get("from", key)
        found[str(origin)] = found[str(key)] = {**entity, "id": str(entity.get("id", key))}
    return found


def _linked_category(entity: Json) -> str:
    title = sitelink(entity, "commonswiki")
    return title.removeprefix(_CATEGORY) if title.startswith(_CATEGORY) else ""


def _category(entity: Json) -> str:
    """Return an object's category: the page that it is linked to, else what P373 says."""
    stated = [value for value in values(entity, _COMMONS) if isinstance(value, str) and value]
    return _linked_category(entity) or (stated[0].removeprefix(_CATEGORY) if stated else "")


def _rejection(row: Row, reason: str) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "osm_type", "osm_id", "qid")} | {"reason": reason}
