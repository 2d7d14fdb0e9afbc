"""Stage `benchmark`: matchers on pairs with ground truth -> a row for each matcher, level and pair.

Inputs: the release's split `test`, or any set of pairs in a layout of `matcher.benchmark.readers`. Output:
`benchmark/rows/<matcher>/<levels>/<first pair>.parquet` (schema `matcher.benchmark.rows.ROWS`). A matcher that crashes,
hangs or returns invalid matches gets rows that say so. Rows of the same pairs that lie in the folder already, measured
earlier or merged from another machine, stay part of the plan: results accumulate. The stage `leaderboard` makes the
report of all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from matcher.benchmark.hardware import describe_commit, describe_hardware
from matcher.benchmark.isolation import Trial, run_trial, split_pairs
from matcher.benchmark.measured import Batch, batches_in, check_rows, read_rows, schema_of
from matcher.benchmark.pairs import PairSource, Subset
from matcher.benchmark.readers import PairLayout, PairSpec, Split, open_pairs, release_pairs
from matcher.benchmark.rows import FAILURES, ROWS
from matcher.errors import MatcherError
from matcher.mapglue.config import SIZES
from matcher.registry import matcher_names, weights_files
from pipeline.config import read_model
from pipeline.errors import ConfigError, PermanentError, PipelineError
from pipeline.files import digest_file, digest_json
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from raster.config_path import ConfigPath
from raster.levels import LEVELS, Level, Levels
from stages.matchers import MatcherName
from stages.tables import write_table

FOLDER = "benchmark"
MIN_BATCH, MAX_BATCHES = 4, 64
"""Least number of pairs of a unit of work (a slow matcher takes minutes for them), and most units of a matcher."""


class BenchmarkParams(BaseModel):
    """Which matchers are measured on which pairs, at which levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: ConfigPath | None = Field(None, description="Folder (or CSV) of the pairs; default: this run's release.")
    layout: PairLayout = Field("release", description="Its layout: release, mapdata, srif, multimodality or csv.")
    split: Split = Field("test", description="Split of a release.")
    subset: Subset = Field("all", description="Part of an SRIF folder: development, final or all.")
    limit: int | None = Field(None, ge=1, description="At most that many pairs, evenly spaced.")
    seed: int = Field(0, ge=0, description="Random seed of the homographies of the levels.")
    matchers: tuple[MatcherName, ...] | None = Field(
        None, description="Names of matchers, or package.module:Class. Default: all built-in ones."
    )
    levels: tuple[str, ...] | None = Field(None, description="Names of levels; default: all of them.")
    levels_file: ConfigPath | None = Field(None, description="YAML of levels; default: the published ones.")
    device: str = Field("auto", description="auto, cpu or cuda.")
    threads: int = Field(1, ge=1, description="CPU threads of a matcher; the last digit may depend on it.")
    timeout_s: float = Field(120.0, gt=0, description="A pair that takes longer is a failure of the matcher.")
    memory_mib: int | None = Field(
        None, ge=256, description="MiB of memory that each process of a matcher may allocate; default: no limit."
    )
    batch: int | None = Field(None, ge=1, description="Pairs a unit of work; default: 4, more for sets over 256 pairs.")


class BenchmarkStage(Stage[BenchmarkParams]):
    """Measure matchers: a unit for each matcher and batch of pairs."""

    name: ClassVar[str] = "benchmark"
    version: ClassVar[int] = 6
    Params: ClassVar[type[BaseModel]] = BenchmarkParams
    reads: ClassVar[tuple[str, ...]] = ("release",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the units; none while the release does not exist yet, or if it has no pair of that split.

        Raises PipelineError for a set of pairs or levels that cannot be read.
        """
        params = self.params
        own = params.pairs is None
        if own and "release" not in run.read("release"):
            return []
        path = run.workspace / "release" if params.pairs is None else params.pairs
        spec = PairSpec(str(path), params.layout, params.split, params.subset, params.limit, params.seed)
        try:
            if own and not release_pairs(path, params.split):
                return []  # a dataset of one sampling point has no test split
            levels = levels_of(params.levels_file)
            pairs = open_pairs(spec)
        except MatcherError as error:
            raise PipelineError(str(error)) from error
        chosen = params.levels or tuple(levels)
        unknown = [name for name in chosen if name not in levels]
        if unknown:
            raise PipelineError(f"no level is called {unknown[0]!r}; there are: {', '.join(levels)}")
        made = [entry.digest for result in run.read("release").values() for entry in result.outputs] if own else []
        digests = [digest_json(made)] * len(pairs) if own else [_digest(pair) for pair in pairs]
        common = {
            "pairs": spec.to_json(),
            "levels": list(chosen),
            "levels_file": str(params.levels_file or ""),
            "parameters": {name: vars(level) if (level := levels[name]) else None for name in chosen},
        }
        settings = params.model_dump(mode="json", include={"device", "threads", "timeout_s", "memory_mib"})
        asked = [
            unit
            for matcher in params.matchers or _shipped()
            for unit in self._units(matcher, {**common, "settings": settings}, digests)
        ]
        return [*asked, *self._earlier(run, spec, digests, {unit.name for unit in asked})]

    def _earlier(self, run: RunView, spec: PairSpec, digests: Sequence[Any], asked: Collection[str]) -> Iterator[Unit]:
        """Yield units for rows of these pairs that lie in the workspace, by other matchers or at other levels."""
        wanted = {**spec.to_json(), "path": ""}
        for path, batch in batches_in(run.workspace / FOLDER / "rows"):
            same = {**batch.payload["pairs"], "path": ""} == wanted and list(batch.digests) == list(digests)
            if same and batch.unit not in asked and _weights_digest(batch.matcher) == batch.weights:
                where = {"pairs": spec.to_json(), "levels_file": str(self.params.levels_file or "")}
                payload = {"kept": path.relative_to(run.workspace).as_posix(), "made": dict(batch.made), **where}
                key = digest_json([self.name, self.version, "kept", run.digest(path)])
                yield Unit(self.name, f"kept/{batch.unit}", key, payload)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return the folder of pairs that is missing, and what is wrong with the file of levels."""
        pairs = self.params.pairs
        found = [f"pairs: {pairs}: is not there"] if pairs and not pairs.exists() else []
        try:
            levels_of(self.params.levels_file)
        except ConfigError as error:
            found.append(f"levels_file: {error}")
        return found

    def _units(self, matcher: str, common: dict[str, Any], digests: Sequence[Any]) -> Iterator[Unit]:
        weights = _weights_digest(matcher)
        size = self.params.batch or max(MIN_BATCH, len(digests) // MAX_BATCHES)
        for batch in split_pairs(len(digests), size):
            payload = {**common, "matcher": matcher, "start": batch.start, "stop": batch.stop}
            name = f"{matcher}/{'+'.join(common['levels'])}/{batch.start:06d}"
            yield self._unit(name, payload, weights, digests)

    def _unit(self, name: str, payload: dict[str, Any], weights: str, digests: Sequence[Any]) -> Unit:
        # The key leaves out which other matchers are asked for, and where the pairs lie: one more makes nothing due but
        # itself, and rows of another machine are as good as one's own.
        pairs = {key: value for key, value in payload["pairs"].items() if key != "path"}
        chosen = [weights, *digests[payload["start"] : payload["stop"]]]
        parts = {**payload, "pairs": pairs, "levels_file": ""}
        key = digest_json([self.name, self.version, parts, chosen])
        facts = {"identity": digest_json([weights, list(digests)]), "weights": weights, "digests": list(digests)}
        weight = payload["stop"] - payload["start"]
        return Unit(self.name, name, key, payload | facts, weight=weight)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Measure one matcher on one batch. Raises PermanentError if it cannot be loaded or a pair cannot be used."""
        payload = unit.payload
        if "kept" in payload:
            return _kept(payload, workspace)
        settings = payload["settings"]
        trial = Trial(
            matcher=payload["matcher"],
            pairs=PairSpec(**payload["pairs"]),
            levels=Levels(levels={name: payload["parameters"][name] for name in payload["levels"]}).levels,
            device=settings["device"],
            threads=settings["threads"],
            timeout_s=settings["timeout_s"],
            memory_mib=settings["memory_mib"],
            identity=payload["identity"],
        )
        try:
            rows = list(run_trial(trial, payload["start"], payload["stop"]))
        except MatcherError as error:
            raise PermanentError(str(error)) from error
        made = {
            "hardware": describe_hardware(settings["device"], settings["threads"]),
            "commit": describe_commit(),
            "day": datetime.now(UTC).date().isoformat(),
        }
        own = {key: value for key, value in payload.items() if key not in ("identity", "weights", "digests")}
        batch = Batch(unit.name, own, settings, payload["digests"], payload["weights"], made)
        levels = "+".join(map(_slug, payload["levels"]))
        path = workspace / FOLDER / "rows" / _slug(trial.matcher) / levels / f"{payload['start']:06d}.parquet"
        write_table(path, pa.Table.from_pylist(rows, ROWS), schema_of(batch))
        data = {
            "pairs": payload["pairs"],
            "levels_file": payload["levels_file"],
            **made,
            "failed": sum(row["outcome"] in FAILURES for row in rows),
        }
        return Result((output(workspace, path),), data)


def _kept(payload: Mapping[str, Any], workspace: Path) -> Result:
    """Return the result of rows that were measured before. Raises PermanentError if they contradict themselves."""
    path = workspace / payload["kept"]
    try:
        rows = read_rows([path])
        wrong = check_rows(rows)
    except MatcherError as error:
        wrong = [str(error)]
    if wrong:
        raise PermanentError(f"{path}: {wrong[0]}; delete the file, or measure its matcher again")
    failed = sum(outcome in FAILURES for outcome in rows["outcome"].to_pylist())
    facts = {name: payload[name] for name in ("pairs", "levels_file")}
    return Result((output(workspace, path),), {**facts, **payload["made"], "failed": failed})


def _shipped() -> list[str]:
    """Return the names of all built-in matchers but networks of this project whose weights are missing."""
    return [name for name in matcher_names() if name not in SIZES or weights_files(name)]


def _weights_digest(matcher: str) -> str:
    """Return the digest of a matcher's weights files, "" for one without: after another training it is measured
    again."""
    digests = [digest_file(path) for path in weights_files(matcher)]
    return digest_json(digests) if digests else ""


def levels_of(file: Path | None) -> dict[str, Level]:
    """Return the levels of a file, or the published ones.

    Args:
        file: YAML; None for the published levels.

    Raises:
        ConfigError: The file is none of levels; the message names file, line and field.
    """
    return dict(LEVELS) if file is None else read_model(file, Levels).levels


def _digest(pair: PairSource) -> str:
    return digest_json([pair.name, *pair.digests()])


def _slug(matcher: str) -> str:
    """Return a folder's name for a matcher; two matchers never share one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", matcher)
    return plain if plain == matcher else f"{plain[-60:]}-{digest_json(matcher)[:8]}"
