"""The one place that says which failures are tried again, how often and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipeline.attempt import Kind
from pipeline.ledger import State


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter, bounded by failures of one kind within one run: what a neighbour did to a unit
    does not use up the unit's own tries.

    The wait before attempt n + 1 is `first_wait * 2**(n - 1)` seconds, at most `longest_wait`, times 0.5 to 1.5, so
    that units which failed together do not come back together.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    # Each unit that shared a worker with the one that killed it has lost a worker too, hence more tries.
    attempts_after_lost_worker: int = 6

    def wait(self, kind: Kind, attempts: int, key: str) -> float | None:
        """Return the seconds to wait before trying again after `attempts` that failed so, or None to give up.

        Args:
            kind: How the last attempt failed; but for TRANSIENT and LOST_WORKER it is never tried again.
            attempts: Failures of that kind within this run, the last one included; 1 or more.
            key: The unit's key, the seed of the jitter: the same unit always waits the same time.
        """
        if kind is Kind.LOST_WORKER:
            return 0.0 if attempts < self.attempts_after_lost_worker else None
        if kind is not Kind.TRANSIENT or attempts >= self.attempts:
            return None
        wait = min(self.longest_wait, self.first_wait * 2.0 ** (attempts - 1))
        return wait * random.Random(f"{key}{attempts}").uniform(0.5, 1.5)


def final_state(kind: Kind) -> State:
    """Return the state of a unit that was given up. A unit that kills its workers does so again: that is permanent."""
    return State.FAILED_TRANSIENT if kind is Kind.TRANSIENT else State.FAILED_PERMANENT
