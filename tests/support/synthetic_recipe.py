"""A small recipe with real files and real processes, to prove the engine on: list -> draw -> pack -> publish.

Importable by worker processes (`tests/support` is on the path), and a driver of its own:
`python -m synthetic_recipe CONFIG WORKSPACE WORKERS`.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.attempt import Kind
from pipeline.config import load_config
from pipeline.errors import PermanentError, PipelineError, TransientError
from pipeline.files import digest_file, write_bytes, write_json
from pipeline.recipe import Recipe
from pipeline.retry import RetryPolicy
from pipeline.run import Request, Stopped, run
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output
from pipeline.workspace import Workspace
from raster.config_path import ConfigPath

QUICK = RetryPolicy(first_wait=0.01, longest_wait=0.05)


class ListParams(BaseModel):
    """How many drawings there are."""

    model_config = ConfigDict(extra="forbid")
    count: int = Field(12, ge=0, description="Drawings to make.")


class ListStage(Stage[ListParams]):
    """Writes the list of what is to be drawn."""

    name, version, Params = "list", 1, ListParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        return [self.unit("all", {"seed": run.seed})]

    def estimate(self, run: RunView, before: dict[str, Estimate]) -> Estimate:
        return Estimate(units=1, written=20 * self.params.count, propagated={"drawings": self.params.count})

    def run(self, unit: Unit, workspace: Path) -> Result:
        path = workspace / "list" / "all.json"
        write_json(path, [f"{index:03d}" for index in range(self.params.count)])
        return Result((output(workspace, path),), {"names": [f"{index:03d}" for index in range(self.params.count)]})


class Fault(BaseModel):
    """A fault to commit while drawing."""

    model_config = ConfigDict(extra="forbid")
    drawing: str = Field(description="The drawing it befalls.")
    kind: Literal["transient", "permanent", "unexpected", "suicide", "disk-full", "no-data", "rejected"]
    times: int = Field(1_000_000, description="How often it happens before it does not any more.")


class DrawParams(BaseModel):
    """How drawings are made and what goes wrong."""

    model_config = ConfigDict(extra="forbid")
    size: int = Field(20_000, ge=1, description="Bytes a drawing.")
    seconds: float = Field(0.0, ge=0, description="Time a drawing takes.")
    faults: list[Fault] = Field(default_factory=list, description="Faults to commit.")
    scratch: ConfigPath = Field(Path("scratch"), description="Where faults are counted.")


class DrawStage(Stage[DrawParams]):
    """Makes one pair of files a drawing."""

    name, version, Params, reads = "draw", 1, DrawParams, ("list",)
    SIDES: ClassVar = ("left", "right")

    def plan(self, run: RunView) -> Sequence[Unit]:
        made = run.read("list")["all"]
        return [
            self.unit(f"{name}", {"seed": run.seed}, [entry.digest for entry in made.outputs], 1 + index % 3)
            for index, name in enumerate(made.data["names"])
        ]

    def run(self, unit: Unit, workspace: Path) -> Result:
        for fault in self.params.faults:
            if fault.drawing == unit.name and self._still_happens(fault):
                outcome = commit(fault.kind, workspace)
                if outcome is not None:
                    return Result((), {}, outcome, f"{fault.kind} for the test")
        outputs = []
        for side in self.SIDES:
            time.sleep(self.params.seconds / 2)
            path = workspace / "drawings" / f"{unit.name}-{side}.bin"
            write_bytes(path, random.Random(f"{unit.key}{side}").randbytes(self.params.size))
            outputs.append(output(workspace, path))
        return Result(tuple(outputs), {"name": unit.name})

    def _still_happens(self, fault: Fault) -> bool:
        self.params.scratch.mkdir(parents=True, exist_ok=True)
        counted = self.params.scratch / f"{fault.drawing}-{fault.kind}"
        happened = counted.stat().st_size if counted.exists() else 0
        with counted.open("ab") as file:
            file.write(b".")
        return happened < fault.times


def commit(kind: str, workspace: Path) -> Outcome | None:
    """Do what a fault does: raise, die, or return an outcome."""
    if kind == Kind.TRANSIENT:
        raise TransientError("the server answered 503")
    if kind == Kind.PERMANENT:
        raise PermanentError("drawing.tif has no CRS; give it one with gdal_edit -a_srs")
    if kind == Kind.UNEXPECTED:
        raise ZeroDivisionError("see https://example.org/tile?z=1&key=s3cr3t")
    if kind == Kind.DISK_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(workspace / "drawings"))
    if kind == "suicide":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(kind)


class PackParams(BaseModel):
    """How drawings are packed."""

    model_config = ConfigDict(extra="forbid")
    batch: int = Field(4, ge=1, description="Drawings a pack.")


class PackStage(Stage[PackParams]):
    """Joins drawings, batch by batch."""

    name, version, Params, reads = "pack", 1, PackParams, ("draw",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        made = [result for result in run.read("draw").values() if result.outcome is Outcome.DONE]
        batches = [made[start : start + self.params.batch] for start in range(0, len(made), self.params.batch)]
        return [
            self.unit(
                f"pack-{index:03d}",
                {"files": [entry.path for result in batch for entry in result.outputs]},
                [entry.digest for result in batch for entry in result.outputs],
                len(batch),
            )
            for index, batch in enumerate(batches)
        ]

    def run(self, unit: Unit, workspace: Path) -> Result:
        path = workspace / "packs" / f"{unit.name}.bin"
        write_bytes(path, b"".join((workspace / file).read_bytes() for file in unit.payload["files"]))
        return Result((output(workspace, path),), {"name": unit.name})


class PublishParams(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(extra="forbid")


class PublishStage(Stage[PublishParams]):
    """Writes the list of all packs with their digests."""

    name, version, Params, reads = "publish", 1, PublishParams, ("pack",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        packs = [entry for result in run.read("pack").values() for entry in result.outputs]
        return [self.unit("all", {"packs": [pack.path for pack in packs]}, [pack.digest for pack in packs])]

    def run(self, unit: Unit, workspace: Path) -> Result:
        path = workspace / "published" / "packs.json"
        write_json(path, {pack: digest_file(workspace / pack) for pack in unit.payload["packs"]})
        return Result((output(workspace, path),))


RECIPE = Recipe("synthetic", (ListStage, DrawStage, PackStage, PublishStage))


def contents(workspace: Path) -> dict[str, bytes]:
    """Return all that the recipe made, by path; what the engine keeps for itself left out."""
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and path.relative_to(workspace).parts[0] != "engine"
    }


def main(config: str, workspace: str, workers: str) -> None:
    """Run the recipe."""
    loaded = load_config(Path(config), RECIPE)
    request = Request(loaded.resolved, loaded.seed, workers=int(workers), policy=QUICK)
    try:
        summary = run(loaded.stages, Workspace(Path(workspace), create=True), request)
    except Stopped as stop:
        sys.exit(stop.exit_status)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    sys.exit(1 if summary.failures else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
