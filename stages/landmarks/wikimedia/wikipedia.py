"""Source `wikipedia`: articles as plain text, section by section, in the languages that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from stages.landmarks.prose import sections_of, writable
from stages.landmarks.sources import Article, HostLoad, Row, TextSource
from stages.landmarks.wikimedia.answers import Json, is_set, pages_of
from stages.landmarks.wikimedia.session import Session, Wikimedia

_BYTES = 9_000


class WikipediaText(TextSource):
    """The article that the landmark names, and those in other languages that it leads to."""

    KEYLESS: ClassVar[frozenset[str]] = frozenset({"wikimedia"})
    kind: Literal["wikipedia"] = "wikipedia"
    wikimedia: Wikimedia = Field(description="How Wikimedia is asked.")
    languages: tuple[str, ...] = Field(
        ("en",), min_length=1, description="Languages of the articles; releases hold the English one."
    )

    def articles(self, landmarks: Sequence[Row], workspace: Path) -> Mapping[str, Sequence[Article]]:
        """Fetch the articles; see `TextSource`. The service gives one whole article a call."""
        with Session(self.wikimedia, workspace) as session:
            return {
                str(row["landmark_id"]): found
                for row in landmarks
                if row["wikipedia"] and (found := session.wait(self._of(session, row)))
            }

    def problems(self) -> list[str]:
        """Return a contact that is not yours."""
        return self.wikimedia.problems()

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Count a call an article."""
        rate = self.wikimedia.api_limits.requests_per_second
        hosts = [urlsplit(self.wikimedia.wiki(language)).netloc for language in self.languages]
        return {host: HostLoad(landmarks, landmarks * _BYTES, rate) for host in hosts}

    async def _of(self, session: Session, landmark: Row) -> list[Article]:
        language, _, title = str(landmark["wikipedia"]).partition(":")
        page = await _page(session, language, title)
        pages: dict[str, Mapping[str, Any]] = {} if page is None else {language: page}
        links = page.get("langlinks", ()) if page is not None else ()
        titles = {str(link.get("lang")): str(link.get("title")) for link in links if isinstance(link, dict)}
        for other in self.languages:
            if other not in pages and other in titles:
                found = await _page(session, other, titles[other])
                if found is not None:
                    pages[other] = found
        return [article_of(pages[each], each) for each in self.languages if each in pages]


async def _page(session: Session, language: str, title: str) -> Mapping[str, Any] | None:
    """Return an article with its text and its links to other languages; None if there is none."""
    parameters = {
        "titles": title, "prop": "extracts|info|langlinks", "explaintext": "1", "exsectionformat": "wiki",
        "inprop": "url", "lllimit": "500",
    }  # fmt: skip
    merged: dict[str, Any] = {}
    links: list[Any] = []
    async for document in session.query(session.rules.wiki(language), parameters):
        for page in pages_of(document):
            links += page.get("langlinks") or ()
            merged.update(page)
    if not merged or is_set(merged, "missing") or not merged.get("extract"):
        return None
    return {**merged, "langlinks": links}


def article_of(page: Json, language: str) -> Article:
    """Return the article that a page of `prop=extracts|info` holds.

    Args:
        page: With its text under `extract`, headings in wiki markup.
        language: Of the Wikipedia that it comes from.

    Returns:
        Its source_url names the revision that was read, so that it can be looked up after later edits.
    """
    title, revision = writable(str(page.get("title", ""))), str(page.get("lastrevid", ""))
    address = str(page.get("fullurl", ""))
    return Article(
        title,
        sections_of(writable(str(page["extract"]))),
        language,
        revision,
        attribution=f"Contributors of Wikipedia, “{title}”, CC BY-SA 4.0",
        source_url=f"{address}?oldid={revision}" if address and revision else address,
    )
