"""Asking Wikimedia: its rules as limits that a configuration can only tighten, and one session a unit of work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.errors import PermanentError
from raster.strict_json import JsonError, parse_json
from stages.acquire.contact import PLACEHOLDER
from stages.fetch.client import Client, RateLimits, Request, Response, UnsafeError
from stages.fetch.credentials import bearer_token
from stages.fetch.headers import retry_after
from stages.fetch.responses import InvalidResponse, unsupported_format
from stages.fetch.store import Store, get_stored
from stages.landmarks.wikimedia.answers import Json, error_of

T = TypeVar("T")
THUMBNAIL_PX = 960
"""Width of reduced pictures: one of the few that the service makes (120, 250, 330, 500, 960, 1280 and some more)."""

FILES = "upload.wikimedia.org"
MEGABITS = 25.0
_CALLS_AN_HOUR = {False: 400.0, True: 4000.0}
"""Without and with a token; the service's own rules say "some hundreds" and "several thousand"."""

_MAX_ANSWER, _MAX_FILE = 16 << 20, 32 << 20
_BUSY = frozenset({"maxlag", "ratelimited", "readonly", "failed-save"})
_BUSY_S = 5.0
_MOST_PAGES = 2000
"""Continued answers of one question, so that a service in a loop ends."""


class Wikimedia(BaseModel):
    """How Wikimedia is asked. Its rules are the defaults; a configuration can ask less, not more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    RULES: ClassVar[frozenset[str]] = frozenset(
        {"contact", "token_variable", "calls_per_hour", "api_concurrent", "files_concurrent", "megabits_per_second",
         "attempts", "wait_s"}
    )  # fmt: skip
    """Fields that no answer depends on."""

    contact: str = Field(
        description="Mail address or page by which Wikimedia can reach you; its rules demand one in every request."
    )
    token_variable: str = Field(
        "", description="Environment variable with an OAuth 2 bearer token of your account; it allows more calls."
    )
    calls_per_hour: float | None = Field(
        None, gt=0, description="API calls, all wikis together; null: 400, and 4,000 with a token."
    )
    api_concurrent: int = Field(3, ge=1, le=3, description="API calls at once.")
    files_concurrent: int = Field(2, ge=1, le=2, description="Files at once.")
    megabits_per_second: float = Field(MEGABITS, gt=0, le=MEGABITS, description="Of files.")
    attempts: int = Field(8, ge=1, description="Times a request is sent before it fails as transient.")
    wait_s: float = Field(1.0, ge=0, description="First wait between attempts in seconds.")
    wikidata: str = Field("https://www.wikidata.org/w/api.php", description="Address of Wikidata's API.")
    commons: str = Field("https://commons.wikimedia.org/w/api.php", description="Address of the API of Commons.")
    wikipedia: str = Field(
        "https://{language}.wikipedia.org/w/api.php", description="Address of Wikipedia's API in a language."
    )
    file_hosts: tuple[str, ...] = Field((FILES,), description="Hosts that pictures are fetched from.")

    @field_validator("contact")
    @classmethod
    def _can_be_reached(cls, contact: str) -> str:
        if not contact.strip() or not any(mark in contact for mark in ("@", "://")):
            raise ValueError("Wikimedia demands a contact in every request: give a mail address or a page of yours")
        if not contact.isascii() or not contact.isprintable():
            raise ValueError("a contact is sent in a header: use ASCII letters only")
        return contact

    @property
    def api_limits(self) -> RateLimits:
        """Limits of all APIs together."""
        calls = self.calls_per_hour or _CALLS_AN_HOUR[bool(self.token_variable)]
        return self._limits(requests_per_second=calls / 3600, concurrent=self.api_concurrent)

    @property
    def file_limits(self) -> RateLimits:
        """Limits of the hosts of files."""
        rate = self.megabits_per_second * 1e6 / 8
        return self._limits(requests_per_second=None, concurrent=self.files_concurrent, bytes_per_second=rate)

    def problems(self) -> list[str]:
        """Return a contact that an example holds in place of one."""
        if PLACEHOLDER.search(self.contact):
            return [f"wikimedia.contact: {self.contact!r} is a placeholder; give a mail address or page of your own"]
        return []

    def wiki(self, language: str) -> str:
        """Return the address of Wikipedia's API in a language."""
        return self.wikipedia.replace("{language}", language)

    def _limits(self, **given: Any) -> RateLimits:
        return RateLimits(contact=self.contact.strip(), attempts=self.attempts, wait_s=self.wait_s, **given)


class Session:
    """A context manager that asks Wikimedia and keeps its answers in the workspace. Not for a running event loop.

    Args:
        rules: How it is asked.
        workspace: Folder of the run.
    """

    def __init__(self, rules: Wikimedia, workspace: Path) -> None:
        limiters = workspace / "cache" / "limiters"
        self.rules = rules
        self.store = Store(workspace / "cache" / "wikimedia")
        self._api = Client(limiters, rules.api_limits, share="wikimedia-api")
        self._files = Client(limiters, rules.file_limits)

    def __enter__(self) -> Session:
        self._runner = asyncio.Runner()
        self.wait(self._api.__aenter__())
        self.wait(self._files.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait(self._api.__aexit__(None, None, None))
            self.wait(self._files.__aexit__(None, None, None))
        finally:
            self._runner.close()

    def wait(self, task: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of this session to its end."""
        return self._runner.run(task)

    async def call(self, api: str, parameters: Mapping[str, str]) -> Json:
        """Return one answer, from the store if it was given before.

        Args:
            api: Address of the API (`Wikimedia.wikidata`, `commons` or `wiki(language)`).
            parameters: Of the question, without format. Their order does not matter for what the store knows.

        Raises:
            PermanentError: The API says that the question is wrong, or refuses it.
            TransientError: It fails, or is too busy for too long.
        """
        key = f"{api}?{urlencode(sorted(parameters.items()))}"
        body = await get_stored(self.store, self._api, key, self.request(api, parameters))
        if body is None:
            raise PermanentError(f"{_shown(api)}: there is no such API; check the address")
        document: Json = json.loads(body)
        return document

    async def query(self, api: str, parameters: Mapping[str, str]) -> AsyncIterator[Json]:
        """Yield the answers to `action=query`, each continuation by the whole object that the one before gives.

        Args:
            api: Address of the API.
            parameters: `prop`, `titles` and the like; `action` and `redirects` are added.

        Raises:
            PermanentError: See `call`; or an answer goes on for more than `_MOST_PAGES` parts.
            TransientError: See `call`.
        """
        more: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            document = await self.call(api, {"action": "query", "redirects": "1", **parameters, **more})
            yield document
            following = document.get("continue")
            if not isinstance(following, dict):
                return
            more = {str(name): str(value) for name, value in following.items()}
        raise PermanentError(f"{_shown(api)}: an answer goes on after {_MOST_PAGES} parts")

    async def ask(self, api: str, parameters: Mapping[str, str]) -> Json:
        """Return an answer that is not kept: for questions whose answers are kept in parts.

        Args:
            api: Address of the API.
            parameters: Of the question, without format.

        Raises:
            PermanentError: See `call`.
            TransientError: See `call`.
        """
        body = await self._api.get(self.request(api, parameters))
        if body is None:
            raise PermanentError(f"{_shown(api)}: there is no such API; check the address")
        document: Json = json.loads(body)
        return document

    async def files(self, addresses: Iterable[str]) -> dict[str, bytes | PermanentError | None]:
        """Return the pictures at addresses: None for one that is gone, an error for one that is refused here."""
        wanted = list(dict.fromkeys(addresses))
        found = await asyncio.gather(*(self._file(each) for each in wanted))
        return dict(zip(wanted, found, strict=True))

    async def _file(self, address: str) -> bytes | PermanentError | None:
        host = urlsplit(address).netloc.lower()
        if host not in self.rules.file_hosts:
            return PermanentError(f"its address leads to {host or 'no host'}, which is none of the service's")
        refused = self.store.get(f"refused {address}")[1]
        if refused is not None:
            return PermanentError(refused.decode())
        label = f"picture {urlsplit(address).path.rpartition('/')[2]}"
        request = Request(
            address,
            label,
            _picture,
            _MAX_FILE,
            redirect_hosts=frozenset(self.rules.file_hosts),
            confirmations=1,  # the API has just said that it is there: one 404 is proof enough
        )
        try:
            return await get_stored(self.store, self._files, address, request)
        except UnsafeError as error:
            self.store.put(f"refused {address}", str(error).encode())
            return PermanentError(str(error))

    def request(self, api: str, parameters: Mapping[str, str]) -> Request[bytes]:
        """Return the request of a question.

        Args:
            api: Address of the API.
            parameters: Of the question. Format, its version and `maxlag` (seconds of database lag above which the API
                refuses work) are added; a value given here takes precedence.

        Returns:
            It is not sent. Its check accepts a JSON answer of the API without an error.
        """
        given = {"format": "json", "formatversion": "2", "maxlag": "5", **parameters}
        what = parameters.get("prop") or parameters.get("list") or parameters.get("action", "")
        return Request(
            f"{api}?{urlencode(given)}",
            f"{_shown(api)} ({what})",
            _answer,
            _MAX_ANSWER,
            headers={"Accept-Encoding": "gzip"},
            asks_to_wait=_busy,
            credentials=bearer_token(api, variable) if (variable := self.rules.token_variable) else None,
        )


def _busy(response: Response) -> float | None:
    """Return for how long an API wants to be left alone: maxlag comes with status 200."""
    if b'"error"' not in response.body:
        return None
    try:
        code, _ = error_of(parse_json(response.body))
    except (JsonError, AttributeError):
        return None
    if code not in _BUSY:
        return None
    wait = retry_after(response.headers.get("Retry-After"))
    return _BUSY_S if wait is None else wait


def _answer(response: Response) -> bytes:
    """Return the body of an answer that is one, and no error."""
    try:
        document = parse_json(response.body)
    except JsonError as error:
        raise InvalidResponse(str(error)) from None
    if not isinstance(document, dict):
        raise InvalidResponse("JSON that is no object")
    code, text = error_of(document)
    if code.startswith("internal_api_error"):
        raise InvalidResponse(f"the error {code}")
    if code:
        raise PermanentError(f"the API answers with the error {code!r}: {text[:200]}")
    return response.body


def _picture(response: Response) -> bytes:
    if response.body[:3] == b"\xff\xd8\xff" or response.body[:8] == b"\x89PNG\r\n\x1a\n":
        return response.body
    raise InvalidResponse(f"no JPEG or PNG ({unsupported_format(response.body) or 'another kind of file'})")


def _shown(api: str) -> str:
    return urlsplit(api).netloc or api
