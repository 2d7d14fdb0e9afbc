"""One attempt at one unit, in whichever process: it ends in a result or a described failure, never in an exception."""

from __future__ import annotations

import os
import pickle
import re
import socket
import traceback
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.code import Code
from pipeline.errors import DiskFullError, PermanentError, TransientError
from pipeline.stage import Result, Stage, Unit
from pipeline.unit_progress import telling
from pipeline.workspace import working_for
from raster.disk import format_bytes, free_bytes, is_full, says_full

_SECRETS = re.compile(
    r"(?i)\b((?:access_?|api_?|subscription-)?(?:key|token)|password|secret|signature|sig)=[^&\s'\"]+"
)


class Kind(StrEnum):
    """Why an attempt failed, as far as the engine has to care."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNEXPECTED = "unexpected"
    LOST_WORKER = "lost-worker"
    DISK_FULL = "disk-full"
    OTHER_CODE = "other-code"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: kind, one line of reason, and the traceback where the failure was not foreseen."""

    kind: Kind
    reason: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended, and where it ran (host:pid)."""

    outcome: Result | Failure
    worker: str


def attempt(stage: Stage[Any], unit: Unit, workspace: Path, run_id: str) -> Attempt:
    """Do one unit for a run. Whatever is raised on the way comes back as a Failure (but for a stop).

    Args:
        stage: With its params; it may be run in any process and any number of times.
        unit: One of the stage's units, as planned.
        workspace: Folder under which outputs are written.
        run_id: Of the run that this belongs to. Where another has taken over the workspace, the attempt fails as
            TRANSIENT.

    Returns:
        The result with the times of its files, or the failure, and the worker as host:process.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        with working_for(workspace, run_id), telling(workspace, unit.stage, unit.name):
            return Attempt(_with_times(stage.run(unit, workspace), workspace), worker)
    except Exception as error:
        return Attempt(describe(error, workspace), worker)


def _with_times(result: Result, workspace: Path) -> Result:
    """Note when each output was last written."""
    outputs = (replace(entry, modified=(workspace / entry.path).stat().st_mtime_ns) for entry in result.outputs)
    return replace(result, outputs=tuple(outputs))


def attempt_elsewhere(code: Code, work: bytes, workspace: Path, run_id: str, name: str) -> Attempt:
    """Do one unit in a worker of a cluster, unless the worker runs other code than the driver.

    Args:
        code: The driver's code of the stage, compared with the worker's before anything is unpickled.
        work: The pickled stage and unit: other code may not even be able to read it.
        workspace: Folder under which outputs are written; every worker mounts it under this path.
        run_id: Of the run that this belongs to.
        name: Of the stage and the unit, for the message of a refusal.

    Returns:
        What `attempt` returns; a failure of kind OTHER_CODE where the code differs.
    """
    differing = code.differences()
    if differing:
        worker = _worker_address()
        reason = f"worker {worker} runs other code than this run: {'; '.join(differing)}. Refused {name}"
        return Attempt(Failure(Kind.OTHER_CODE, reason), worker)
    stage, unit = pickle.loads(work)
    return attempt(stage, unit, workspace, run_id)


def _worker_address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return f"{socket.gethostname()}:{os.getpid()}"


def describe(error: Exception, workspace: Path) -> Failure:
    """Return the failure that an exception stands for.

    Args:
        error: As caught; its message and traceback lose the secrets of URLs.
        workspace: Its disk is looked at, because libraries name a full disk by errors of their own.

    Returns:
        DISK_FULL before everything else; PERMANENT and TRANSIENT by type, time-outs and lost connections being
        TRANSIENT; what else there is is UNEXPECTED, with its traceback.
    """
    text = without_secrets(str(error) or type(error).__name__)
    if isinstance(error, DiskFullError):
        return Failure(Kind.DISK_FULL, text)
    foreseen = isinstance(error, PermanentError | TransientError)
    if says_full(error) or (not foreseen and is_full(workspace)):
        named = getattr(error, "filename", None) or workspace
        return Failure(Kind.DISK_FULL, f"{named}: no space left ({format_bytes(free_bytes(workspace))} free): {text}")
    if isinstance(error, PermanentError):
        return Failure(Kind.PERMANENT, text)
    if isinstance(error, (TransientError, TimeoutError, ConnectionError)):
        return Failure(Kind.TRANSIENT, text)
    trace = without_secrets("".join(traceback.format_exception(error)))
    return Failure(Kind.UNEXPECTED, f"{type(error).__name__}: {text}", trace)


def without_secrets(text: str) -> str:
    """Return `text` with the values of keys, tokens and passwords in URLs blotted out."""
    return _SECRETS.sub(r"\1=***", text)
