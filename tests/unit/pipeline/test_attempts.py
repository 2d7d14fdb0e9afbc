"""How exceptions become described failures, and which of them are tried again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.attempt import Failure, Kind, attempt, describe, without_secrets
from pipeline.errors import PermanentError, TransientError
from pipeline.ledger import State
from pipeline.retry import RetryPolicy, final_state
from pipeline.workspace import Workspace

pytestmark = pytest.mark.unit


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TransientError("503"), Kind.TRANSIENT),
        (TimeoutError(), Kind.TRANSIENT),
        (ConnectionResetError("reset"), Kind.TRANSIENT),
        (PermanentError("no CRS"), Kind.PERMANENT),
        (ValueError("bug"), Kind.UNEXPECTED),
        (FileNotFoundError(errno.ENOENT, "gone", "a"), Kind.UNEXPECTED),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), Kind.DISK_FULL),
        (OSError(errno.EDQUOT, "Quota", "/a/b"), Kind.DISK_FULL),
        (RuntimeError("TIFFAppendToStrip:Write error: No space left on device"), Kind.DISK_FULL),
        (chained(PermanentError("cannot write"), OSError(errno.ENOSPC, "full")), Kind.DISK_FULL),
    ],
)
def test_kinds(tmp_path: Path, error: Exception, kind: Kind) -> None:
    failure = describe(error, tmp_path)
    assert failure.kind is kind
    assert failure.reason
    assert bool(failure.traceback) == (kind is Kind.UNEXPECTED)


def test_a_full_disk_names_the_path_and_what_is_free(tmp_path: Path) -> None:
    reason = describe(OSError(errno.ENOSPC, "No space left on device", "/some/file.tif"), tmp_path).reason
    assert reason.startswith("/some/file.tif: no space left (")
    assert "free" in reason


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "subscription-key", "sig", "password"])
def test_secrets_do_not_reach_the_ledger(tmp_path: Path, name: str) -> None:
    failure = describe(ValueError(f"GET https://example.org/1?z=3&{name}=s3cr3t&x=1 failed"), tmp_path)
    assert "s3cr3t" not in failure.reason + failure.traceback
    assert f"{name}=***&x=1" in failure.reason
    assert without_secrets("monkey=1") == "monkey=1"


def test_an_attempt_never_raises(tmp_path: Path) -> None:
    from synthetic_recipe import ListParams, ListStage

    place = Workspace(tmp_path / "w", create=True)
    place.hand_over("run")
    stage = ListStage(ListParams())
    unit = stage.unit("all", {})
    (place.root / "list").write_text("in the way")
    outcome = attempt(stage, unit, place.root, "run").outcome
    assert isinstance(outcome, Failure)
    assert outcome.kind is Kind.UNEXPECTED
    other = attempt(stage, unit, place.root, "another run").outcome
    assert isinstance(other, Failure)
    assert other.kind is Kind.TRANSIENT


@given(st.text(), st.integers(1, 20))
def test_waits_double_within_jitter_and_end(key: str, attempts: int) -> None:
    policy = RetryPolicy(attempts=8, first_wait=1, longest_wait=30)
    wait = policy.wait(Kind.TRANSIENT, attempts, key)
    if attempts >= 8:
        assert wait is None
    else:
        assert wait is not None
        assert 0.5 * min(30, 2 ** (attempts - 1)) <= wait <= 1.5 * min(30, 2 ** (attempts - 1))
        assert wait == policy.wait(Kind.TRANSIENT, attempts, key)


def test_only_what_may_pass_is_tried_again() -> None:
    policy = RetryPolicy()
    assert policy.wait(Kind.PERMANENT, 1, "k") is None
    assert policy.wait(Kind.UNEXPECTED, 1, "k") is None
    assert policy.wait(Kind.LOST_WORKER, policy.attempts_after_lost_worker - 1, "k") == 0
    assert policy.wait(Kind.LOST_WORKER, policy.attempts_after_lost_worker, "k") is None
    assert final_state(Kind.TRANSIENT) is State.FAILED_TRANSIENT
    assert {final_state(kind) for kind in (Kind.PERMANENT, Kind.UNEXPECTED, Kind.LOST_WORKER)} == {
        State.FAILED_PERMANENT
    }
