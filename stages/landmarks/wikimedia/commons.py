"""Source `commons`: photographs of a landmark's category on Wikimedia Commons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from pipeline.errors import PermanentError
from stages.landmarks.licences import refusal, spdx_of
from stages.landmarks.sources import GroundSource, HostLoad, Photograph, Row
from stages.landmarks.wikimedia.answers import FileInfo, file_of, pages_of
from stages.landmarks.wikimedia.session import THUMBNAIL_PX, Session, Wikimedia

_READ = ("image/jpeg", "image/png")
_AT_ONCE = 12
_A_PAGE = 50
"""Files a call: what the service describes at once."""

_PER_LANDMARK, _BYTES = 18, 195_000
"""Photographs of a landmark, and bytes of one 960 px wide, in the published dataset."""

_INFO = {
    "prop": "imageinfo",
    "iiprop": "url|size|mime|sha1|extmetadata",
    "iiurlwidth": str(THUMBNAIL_PX),
    "iiextmetadatafilter": "License|LicenseShortName|LicenseUrl|Artist|Attribution|DateTimeOriginal|NonFree",
}


class CommonsGround(GroundSource):
    """The files of a category and of its subcategories."""

    KEYLESS: ClassVar[frozenset[str]] = frozenset({"wikimedia"})
    kind: Literal["commons"] = "commons"
    wikimedia: Wikimedia = Field(description="How Wikimedia is asked.")
    depth: int = Field(1, ge=0, le=4, description="Levels of subcategories that belong to the landmark.")
    most_files: int = Field(200, ge=1, description="Files of a landmark that are looked at, the category's own first.")
    article_files: bool = Field(False, description="Whether the pictures of the Wikipedia article belong to it, too.")

    def photographs(self, landmark: Row, workspace: Path) -> Iterator[Photograph]:
        """Yield the category's files by title; see `GroundSource`."""
        with Session(self.wikimedia, workspace) as session:
            files = session.wait(self._listed(session, landmark))
            for start in range(0, len(files), _AT_ONCE):
                some = files[start : start + _AT_ONCE]
                wanted = [info.thumbnail for info, _ in some if not _fault(info)]
                bodies = session.wait(session.files(wanted))
                for info, category in some:
                    yield _photograph(info, category, bodies)

    def problems(self) -> list[str]:
        """Return a contact that is not yours."""
        return self.wikimedia.problems()

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Count a call a category and one more where it has subcategories, and the photographs."""
        api, files = self.wikimedia.api_limits, self.wikimedia.file_limits
        calls = landmarks * (1 + 1 * (self.depth > 0) + self.article_files)
        count = landmarks * _PER_LANDMARK
        return {
            urlsplit(self.wikimedia.commons).netloc: HostLoad(calls, calls * 8000, api.requests_per_second),
            self.wikimedia.file_hosts[0]: HostLoad(count, count * _BYTES, None, files.bytes_per_second),
        }

    async def _listed(self, session: Session, landmark: Row) -> list[tuple[FileInfo, str]]:
        """Return the files, each with the category that it was found in."""
        found: dict[str, tuple[FileInfo, str]] = {}
        level, seen = [landmark["commons_category"]], set[str]()
        for depth in range(self.depth + 1):
            below: list[str] = []
            for category in level:
                if not category or category in seen or len(found) >= self.most_files:
                    continue
                seen.add(category)
                for info in await _members(session, category):
                    found.setdefault(info.title, (info, category))
                if depth < self.depth:
                    below += await _subcategories(session, category)
            level = below
        if self.article_files and landmark["wikipedia"]:
            for info in await _of_article(session, landmark["wikipedia"]):
                found.setdefault(info.title, (info, ""))
        return list(found.values())[: self.most_files]


async def _members(session: Session, category: str) -> list[FileInfo]:
    parameters = {
        "generator": "categorymembers", "gcmtitle": f"Category:{category}", "gcmtype": "file", "gcmlimit": str(_A_PAGE),
        **_INFO,
    }  # fmt: skip
    return await _files(session, session.rules.commons, parameters)


async def _files(session: Session, api: str, parameters: Mapping[str, str]) -> list[FileInfo]:
    """Return the files of a query by title. A page may come in several parts, with its properties spread over them."""
    pages: dict[str, dict[str, object]] = {}
    async for document in session.query(api, parameters):
        for page in pages_of(document):
            pages.setdefault(str(page.get("title")), {}).update(page)
    return [file_of(pages[title]) for title in sorted(pages)]


async def _subcategories(session: Session, category: str) -> list[str]:
    parameters = {
        "list": "categorymembers", "cmtitle": f"Category:{category}", "cmtype": "subcat", "cmlimit": "500",
    }  # fmt: skip
    found = []
    async for document in session.query(session.rules.commons, parameters):
        for member in document.get("query", {}).get("categorymembers", ()):
            found.append(str(member.get("title", "")).partition(":")[2])
    return sorted(filter(None, found))


async def _of_article(session: Session, article: str) -> list[FileInfo]:
    """Return the pictures of an article. A Wikipedia knows of those of Commons only that they are shared."""
    language, _, title = article.partition(":")
    parameters = {"generator": "images", "titles": title, "gimlimit": str(_A_PAGE), **_INFO}
    own = await _files(session, session.rules.wiki(language), parameters)
    shared = [info.title for info in own if info.shared]
    found = [info for info in own if not info.shared and not info.missing]
    for start in range(0, len(shared), _A_PAGE):
        asked = {"titles": "|".join(shared[start : start + _A_PAGE]), **_INFO}
        found += await _files(session, session.rules.commons, asked)
    return found


def _fault(info: FileInfo) -> str:
    """Say why a file is not fetched, or nothing."""
    if info.missing:
        return "it was deleted, or moved without a trace"
    if info.mime not in _READ:
        return f"its format {info.mime or '(unknown)'} is not read; JPEG and PNG are"
    if reason := refusal(spdx_of(info.licence, info.licence_url)):
        return reason
    return "" if info.thumbnail else "the service offers no reduced picture of it"


def _photograph(info: FileInfo, category: str, bodies: Mapping[str, bytes | PermanentError | None]) -> Photograph:
    fault, body = _fault(info), None
    if not fault:
        got = bodies[info.thumbnail]
        if isinstance(got, PermanentError):
            fault = str(got)
        elif got is None:
            fault = "its picture is gone"
        else:
            body = got
    return Photograph(
        name=info.title,
        body=body,
        title=info.title.partition(":")[2].rpartition(".")[0].replace("_", " "),
        author=info.author,
        licence=info.licence,
        licence_url=info.licence_url,
        attribution=info.attribution,
        source_url=info.url,
        page_url=info.page,
        sha1=info.sha1,
        date=info.date,
        categories=(category,) if category else (),
        fault=fault,
    )
