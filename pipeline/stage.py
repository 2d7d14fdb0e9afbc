"""What a stage is: it plans units of work and runs one unit. How units are scheduled is the engine's business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from pipeline.digests import DigestCache
from pipeline.errors import PipelineError
from pipeline.files import digest_file, digest_json

P = TypeVar("P", bound=BaseModel)


class Outcome(StrEnum):
    """How a unit ended that did not fail. NO_DATA and REJECTED are facts about the data, not errors."""

    DONE = "done"
    NO_DATA = "no-data"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work of a second or more, such as a file, or a batch of small ones; never one small file.

    `name` is unique within the stage and readable ("001/1"); `key` is a digest of everything the result depends on;
    `payload` is JSON-able and all that `Stage.run` gets to know; `weight` is the share of the progress bar. `facts` are
    statements about the result on which its content does not depend, such as a licence: they are no part of the key,
    and later stages find those of the latest plan in the result's data.
    """

    stage: str
    name: str
    key: str
    payload: Mapping[str, Any]
    weight: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """A finished file: path relative to the workspace (POSIX), size in bytes, BLAKE3 digest.

    `modified` is when it was last written, nanoseconds since 1970; 0 if unknown. The engine notes it when the unit has
    ended, and takes a file of this size and time for unchanged without reading it.
    """

    path: str
    size: int
    digest: str
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a unit made. `data` is JSON-able and small; whatever is large is a file among `outputs`.

    The texts of a list `notes` in `data` tell the user what the result lacks; `status` prints them.
    `said` in the data, one line, is what a run's last line tells of the result, such as how much was published where.
    """

    outputs: tuple[Output, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.DONE
    reason: str = ""


@dataclass(frozen=True)
class RunView:
    """What `Stage.plan` may see: the workspace, the run's seed, and the results of the stages that it reads.

    `results[stage][unit name]` holds every unit that ended DONE, NO_DATA or REJECTED, in the order of its plan.
    `declared` are the stages that may be read (`Stage.reads`); None does not check.
    """

    workspace: Path
    seed: int
    results: Mapping[str, Mapping[str, Result]]
    declared: frozenset[str] | None = None
    digests: DigestCache = field(default_factory=DigestCache)

    def of(self, stage: type[Stage[Any]] | Stage[Any]) -> RunView:
        """Return what `stage` may see: nothing but the results that it declares to read."""
        results = {name: self.results[name] for name in stage.reads if name in self.results}
        return RunView(self.workspace, self.seed, results, frozenset(stage.reads), self.digests)

    def digest(self, path: Path) -> str:
        """Return the digest of an input file's content, "absent" where it cannot be read.

        A file is read once, and again when its size, time of change or inode differ.
        """
        return self.digests.digest(path)

    def read(self, stage: str) -> Mapping[str, Result]:
        """Return the results of a stage by unit name; none where the run leaves that stage out or has not reached it.

        Raises:
            PipelineError: The stage that reads does not declare it in `reads`.
        """
        if self.declared is not None and stage not in self.declared:
            raise PipelineError(f"results of stage {stage!r} were read, which is not declared: add it to `reads`.")
        return self.results.get(stage, {})


@dataclass(frozen=True)
class Estimate:
    """What a stage expects to cost, worked out before anything runs.

    Requests go over the network, `downloaded` and `written` are bytes, `seconds` are those of one worker.
    `hosts` says for each host how many of the requests go there and how many a second it gets at most (None: no limit).
    `traffic` says the same of bytes. `cost` is by what is paid for, at the rates that the configuration names.
    `propagated` are amounts by name that the estimates of later stages start from; `rows` are those of the table that
    the stage will write, where it is so quick that planning makes them: later stages plan with the very rows.
    """

    units: int
    requests: int = 0
    downloaded: int = 0
    written: int = 0
    seconds: float = 0.0
    hosts: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)
    traffic: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    propagated: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


class Stage(ABC, Generic[P]):
    """A step of a recipe. Subclasses set `name`, `version`, `Params` and implement `plan` and `run`.

    `reads` names the earlier stages whose results it reads, `roles` the roles of the recipe that its code knows
    by name. A stage holds no retry, logging or scheduling policy. Instances are pickled to workers.
    Raise `TransientError` for what may pass and `PermanentError` for what will not; return a `Result` with outcome
    NO_DATA or REJECTED for expected facts of the data. Bump `version` when the same inputs give another output.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Params: ClassVar[type[BaseModel]]
    reads: ClassVar[tuple[str, ...]] = ()
    roles: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def params_model(cls, roles: tuple[str, ...]) -> type[BaseModel]:
        """Return the model of this stage's parameters in a recipe of these roles: `Params`, unless overridden."""
        return cls.Params

    def __init__(self, params: P) -> None:
        self.params = params

    @abstractmethod
    def plan(self, run: RunView) -> Sequence[Unit]:
        """Plan the stage.

        Args:
            run: The workspace, the seed and the results of the stages that this one reads.

        Returns:
            The units, the same list in the same order for the same inputs.
        """

    @abstractmethod
    def run(self, unit: Unit, workspace: Path) -> Result:
        """Do one unit. Outputs are written atomically; running twice gives the same bytes.

        Args:
            unit: The unit, as it was planned; in whichever process.
            workspace: Folder under which outputs are written.

        Returns:
            What was made, or that there is no data, or that the unit was rejected and why.

        Raises:
            TransientError: It failed for a reason that may pass.
            PermanentError: It failed for a reason that stays.
        """

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return what this stage will cost.

        Called also when no earlier stage has run yet: it reads no results but those in `run`.

        Args:
            run: The workspace, the seed and whatever results of earlier stages there are.
            before: Estimates of earlier stages by name; stages that offered none are missing.

        Returns:
            Units, requests, bytes and seconds of one worker; None if unknown, as it is unless overridden.
        """
        return None

    def problems(self, before: Mapping[str, Estimate]) -> Sequence[str]:
        """Return what is wrong with the params that only a look around can tell, such as a file that is missing.

        Nothing is fetched and no long file is read: `config check` asks before a day of downloads.

        Args:
            before: The estimates of the stages before it, by stage name.

        Returns:
            What is wrong, each with the field below the stage.
        """
        return ()

    def needs(self) -> Sequence[str]:
        """Return what a run will ask for that is not there yet, such as a key or a permission; params are right."""
        return ()

    def key_params(self) -> Any:
        """Return what of the params results depend on, JSON-able: by default all of them."""
        return self.params.model_dump(mode="json")

    def unit(self, name: str, payload: Mapping[str, Any], inputs: Iterable[str] = (), weight: float = 1.0) -> Unit:
        """Build a unit whose key digests the stage, its version and params, the payload and the input digests.

        Args:
            name: Unique within the stage, readable.
            payload: JSON-able; all that `run` gets to know.
            inputs: Digests of what the result depends on beside the payload, such as of input files and of weights, in
                a fixed order.
            weight: Share of the progress bar, such as the size of the input; it is no part of the key.
        """
        identity = [self.name, self.version, self.key_params(), name, dict(payload), list(inputs)]
        return Unit(self.name, name, digest_json(identity), dict(payload), weight)


def propagated(before: Mapping[str, Estimate], stage: str) -> Mapping[str, float]:
    """Return the amounts that the estimate of an earlier stage propagates; none if there is no such estimate.

    Args:
        before: Estimates of earlier stages by name; stages that offered none are missing.
        stage: Name of the earlier stage that the amounts come from.
    """
    return before[stage].propagated if stage in before else {}


def output(workspace: Path, path: Path) -> Output:
    """Describe a finished file for a `Result`.

    Args:
        workspace: Folder of the run, an ancestor of `path`.
        path: The file under its final name; it is read whole for its digest.

    Returns:
        Its `modified` is 0: the engine notes that when the unit has ended.
    """
    return Output(path.relative_to(workspace).as_posix(), path.stat().st_size, digest_file(path))
