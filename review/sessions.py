"""Who may talk to the server: one-time tokens, exchanged for a cookie that only this server knows."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raster.strict_json import read_json
from review.errors import Refused

TOKEN_SECONDS = 24 * 3600.0
PRESENT_SECONDS = 15.0
MAX_SESSIONS = 200
LONGEST_NAME = 80


@dataclass
class Session:
    """A browser: whose it is, when it was last heard of, and the raster pair it has open."""

    operator: str
    seen: float = 0.0
    site: str = ""


class Sessions:
    """Tokens and sessions. Sessions outlive the server, tokens do not: what is kept are digests, readable by nobody
    else."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._tokens: dict[str, tuple[str, float]] = {}
        self._sessions: dict[str, Session] = {}
        if path is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):
                kept = read_json(path)
                self._sessions = {str(key): Session(str(name)) for key, name in kept.items()}

    def invite(self, operator: str) -> str:
        """Return a token that one browser can use once, as that operator."""
        token = secrets.token_urlsafe(32)
        self._tokens[_digest(token)] = operator, time.monotonic() + TOKEN_SECONDS
        return token

    def enter(self, token: str) -> str | None:
        """Exchange a token for the content of a cookie; None where it is used up, old or was never given."""
        operator, until = self._tokens.pop(_digest(token), ("", 0.0))
        if time.monotonic() > until:
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = Session(operator)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._keep()
        return cookie

    def of(self, cookie: str) -> Session | None:
        """Return the session of a cookie."""
        session = self._sessions.get(_digest(cookie))
        if session is not None:
            session.seen = time.monotonic()
        return session

    def beside(self, own: Session) -> list[dict[str, str]]:
        """Return who else was heard of in the last seconds, and which raster pair each has open."""
        others = [session for session in self._sessions.values() if session is not own and session.seen]
        recent = [session for session in others if time.monotonic() - session.seen < PRESENT_SECONDS]
        return [{"operator": session.operator, "site": session.site} for session in recent]

    def _keep(self) -> None:
        if self._path is None:
            return
        kept = {key: session.operator for key, session in self._sessions.items()}
        beside = self._path.with_name(self._path.name + ".new")
        # On a full disk a session ends with the server; the page can still be looked at.
        with suppress(OSError):
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(kept, file)
            beside.replace(self._path)


def named(operator: str) -> str:
    """Return an operator's name, on one line and without needless spaces. Raises Refused (422) where it is none."""
    name = " ".join(operator.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise Refused(422, f"the name of an operator has 1 to {LONGEST_NAME} characters, all of which can be seen")
    return name


def _digest(secret: str) -> str:
    """Return what is compared and kept in place of a secret: how long looking it up takes says nothing of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
