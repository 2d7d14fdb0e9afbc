"""Align now: the alignment that a run would make of the present points, in a process of its own, kept nowhere.

`python -m review.trial` reads one JSON object (rasters, points, parameters) and prints one (the content of
`alignment.json`, its digest).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PermanentError
from review.documents import points_from_json
from review.errors import Refused
from review.sites import Site
from stages.align import AlignParams
from stages.rasters import SIDES, open_pair
from stages.tiepoints import TiePoint

_NICENESS = 5


def main() -> None:
    """Align one pair; see the module."""
    from stages.align.evidence import summary, write_evidence
    from stages.align.pair import align_pair
    from stages.align.threads import one_thread

    asked = json.load(sys.stdin)
    params = AlignParams.model_validate(asked["params"])
    try:
        with open_pair(Path(asked["map"]), Path(asked["visible"])) as pair, tempfile.TemporaryDirectory() as folder:
            points = points_from_json(asked["points"])
            with one_thread():
                evidence = align_pair(pair, points, params.matcher, params.limits, params.manual)
            written = write_evidence(Path(folder), evidence, pair)
            from pipeline.files import digest_file

            answer = {"alignment": summary(evidence), "digest": digest_file(written[0])}
    except PermanentError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


@dataclass
class Trial:
    """An alignment that is being tried. `answer` is there when it has ended."""

    site: str
    points: str
    process: asyncio.subprocess.Process
    answer: dict[str, Any] | None = None


class Trials:
    """One trial at a time: an alignment takes a core for half a minute or more."""

    def __init__(self) -> None:
        self._current: Trial | None = None
        self._ended: dict[str, Trial] = {}
        self._waiting: asyncio.Task[None] | None = None

    async def start(self, site: Site, points: Sequence[TiePoint], digest: str, params: AlignParams) -> None:
        """Start one in a process of its own; its result is kept until another of the site has ended.

        Args:
            site: Its rasters are aligned.
            points: Manual tie points that take part, full-resolution pixels.
            digest: Of these points, by which `tried` later recognises them.
            params: Of the run, so that the trial gives what the run would.

        Raises:
            Refused: (409) Another is going on; (422) the run aligns by georeference, where tie points have no effect.
        """
        if params.method != "structure":
            raise Refused(422, "this run trusts the georeference; there is nothing to align")
        if self._current is not None:
            raise Refused(409, f"{self._current.site} is being aligned; wait until it has ended, or stop it")
        asked = {side: str(site.sides[side].path) for side in SIDES}
        value = asked | {"points": [asdict(p) for p in points], "params": params.model_dump(mode="json")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "review.trial",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=_modest,
        )
        self._current = Trial(site.name, digest, process)
        self._waiting = asyncio.create_task(self._wait(self._current, json.dumps(value).encode()))

    def of(self, site: str) -> dict[str, Any]:
        """Return how the trial of a site stands: `state` (none, running, ended), and the answer."""
        if self._current is not None and self._current.site == site:
            return {"state": "running", "points": self._current.points}
        ended = self._ended.get(site)
        if ended is None:
            return {"state": "none"}
        return {"state": "ended", "points": ended.points, **(ended.answer or {})}

    def tried(self, site: str, points: str) -> Mapping[str, Any]:
        """Return the alignment that was tried with these very points, and its digest; empty where none was.

        Args:
            site: Name, such as "001/1".
            points: Digest of the points as they are now.

        Returns:
            The content of `alignment.json`, with `digest`, that of the file.
        """
        ended = self._ended.get(site)
        if ended is None or ended.points != points or ended.answer is None or "alignment" not in ended.answer:
            return {}
        return {**ended.answer["alignment"], "digest": ended.answer["digest"]}

    async def stop(self) -> None:
        """Stop the trial that is going on."""
        if self._current is not None:
            self._current.process.kill()
        if self._waiting is not None:
            await self._waiting

    async def _wait(self, trial: Trial, asked: bytes) -> None:
        said, wrong = await trial.process.communicate(asked)
        try:
            trial.answer = json.loads(said)
        except ValueError:
            last = wrong.decode(errors="replace").strip().splitlines()[-1:]
            stopped = trial.process.returncode is not None and trial.process.returncode < 0
            trial.answer = {"error": "stopped" if stopped else "".join(last) or "the alignment ended without an answer"}
        self._ended[trial.site] = trial
        self._current = None


def _modest() -> None:
    os.nice(_NICENESS)


if __name__ == "__main__":
    main()
