"""Training metrics: a CSV file that anything can read, and TensorBoard's events where it is installed."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any


class MetricsLog:
    """Rows (step, name, value) of `metrics.csv`. A resumed run drops the rows beyond its checkpoint first."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the log of a training; it is closed with its context.

        Args:
            folder: Folder of the training; `metrics.csv` in it is continued.
            step: Step of the checkpoint from which training goes on; 0 for a new one.
        """
        path = folder / "metrics.csv"
        rows = _rows(path, step)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("step", "name", "value"), *rows])
        self._file = path.open("a", newline="", buffering=1)
        self._csv = csv.writer(self._file)
        self._board: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Add the figures of a step.

        Args:
            step: Number of the step after which they were measured; several calls may share one.
            figures: By name; each becomes a row and, where TensorBoard is installed, a scalar event.
        """
        for name, value in figures.items():
            self._csv.writerow((step, name, f"{value:.6g}"))
            if self._board is not None:
                self._board.add_scalar(name, value, step)


def _rows(path: Path, step: int) -> list[tuple[str, ...]]:
    if not path.exists():
        return []
    with path.open(newline="", errors="replace") as file:  # the end may be anything after a power cut
        rows = [tuple(row) for row in csv.reader(line.replace("\0", "") for line in file)]
    return [row for row in rows[1:] if len(row) == 3 and row[0].isdecimal() and int(row[0]) <= step]
