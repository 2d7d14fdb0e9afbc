"""`mapdata benchmark`: matchers measured on pairs with ground truth; `mapdata benchmark merge`: results joined.

Options that are parameters of the stage `benchmark` have the names of its fields.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mapdata.commands.run import report_stop
from mapdata.options import Device, Scheduler, Workers

if TYPE_CHECKING:
    from pipeline.config import Config

_MANY = "May be given several times."


class _MeasureByDefault(TyperGroup):
    """A group whose command `measure` need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `measure` in front of arguments that name no command."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["measure", *args])


def register(app: typer.Typer) -> None:
    """Add `benchmark` and `benchmark merge`."""
    family = typer.Typer(cls=_MeasureByDefault, help="Measure matchers on pairs with ground truth; merge results.")
    family.command("measure")(benchmark)
    family.command("merge")(merge)
    app.add_typer(family, name="benchmark")


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results: what was --out or --workspace.")],
    out: Annotated[Path, typer.Option(help="Folder of the joined results; made if missing.")],
    pairs: Annotated[
        Path | None, typer.Option(help="Where the pairs lie here, to draw some; default: where they lay when measured.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Join results of several machines, or somebody's submission with your own: the same pairs, the same levels.

    The rows are checked first: digests of the pairs, the error of each row against its homographies, one truth a pair.
    Of two rows of one matcher, level and pair that of the folder named first counts.

    Example: `mapdata benchmark merge work/mine work/theirs --out work/all`
    """
    from stages.merge import merge_results

    found = merge_results(folders, out, pairs)
    typer.echo((found / ("results.json" if as_json else "leaderboard.md")).read_text(encoding="utf-8"), nl=not as_json)


def benchmark(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(help="YAML of a dataset's run: its release is measured, in its workspace.")
    ] = None,
    workspace: Annotated[Path | None, typer.Option(help="Workspace of that run.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Instead of CONFIG: folder (or CSV) of pairs.")] = None,
    layout: Annotated[str, typer.Option(help="Its layout: release, mapdata, srif, multimodality or csv.")] = "release",
    out: Annotated[Path | None, typer.Option(help="Folder of the results of --pairs; made if missing.")] = None,
    split: Annotated[str, typer.Option(help="Split of a release.")] = "test",
    subset: Annotated[str, typer.Option(help="Part of an SRIF folder: development, final or all.")] = "all",
    limit: Annotated[int | None, typer.Option(min=1, help="At most that many pairs, evenly spaced.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the homographies of the levels.")] = 0,
    matchers: Annotated[
        list[str] | None, typer.Option("--matcher", help=f"Name of a matcher; default: all built-in ones. {_MANY}")
    ] = None,
    levels: Annotated[list[str] | None, typer.Option("--level", help=f"Name of a level; default: all. {_MANY}")] = None,
    levels_file: Annotated[Path | None, typer.Option(help="YAML of levels, as configs/benchmark-levels.yaml.")] = None,
    device: Device = "auto",
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds after which a pair is a failure of the matcher.")
    ] = 120.0,
    memory_mib: Annotated[
        int | None, typer.Option("--memory", help="MiB that each process of a matcher may allocate; default: no limit.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    model: Annotated[
        str, typer.Option(help="Of a release of landmarks: the model to measure; see `mapdata evaluate`.")
    ] = "baseline",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Measure matchers; a benchmark that was stopped goes on when the command is repeated.

    Results accumulate: matchers and levels that were measured on the same pairs in the same folder stay in the report.
    `mapdata benchmark merge` joins several folders.

    Writes `benchmark/` with `results.json`, `leaderboard.md`, `report.html` and the rows of every pair.
    `mapdata export --to stac` then puts the figures of a dataset's own test split into its card and catalog.
    Exit status 1 if a matcher could not be loaded (the others are measured).

    Where CONFIG is one of landmarks, a model of retrieval is measured on all tasks instead, as `mapdata evaluate` does.

    Examples: `mapdata benchmark measure configs/demo.yaml --workspace work/demo --matcher rootsift`,
    `mapdata benchmark configs/landmarks-demo.yaml --workspace work/landmarks --model baseline`,
    `mapdata benchmark --pairs Optical-Map --layout srif --matcher rootsift --level easy --out work/srif`
    """
    from pydantic import ValidationError

    from mapdata.outcomes import PROGRAM
    from mapdata.recipes import load_recipe
    from pipeline.report import print_summary
    from pipeline.run import Request, Stopped
    from pipeline.run import run as run_recipe
    from pipeline.stage import Stage
    from pipeline.workspace import Workspace
    from stages.benchmark import BenchmarkParams, BenchmarkStage
    from stages.leaderboard import LeaderboardParams, LeaderboardStage

    if (config is None) == (pairs is None):
        raise typer.BadParameter("give either CONFIG with --workspace, or --pairs with --out")
    folder = workspace if config is not None else out
    if folder is None:
        raise typer.BadParameter("CONFIG needs --workspace" if config is not None else "--pairs needs --out")
    given = {name: value for name, value in context.params.items() if name in BenchmarkParams.model_fields}
    given |= {name: given[name].absolute() for name in ("pairs", "levels_file") if given[name]}
    try:
        params = BenchmarkParams.model_validate(given if pairs else given | {"layout": "release"})
    except ValidationError as error:
        first = error.errors()[0]
        option = next(each.opts[0] for each in context.command.params if each.name == first["loc"][0])
        raise typer.BadParameter(f"{option}: {first['msg'].removeprefix('Value error, ')}") from None
    stages: list[Stage[Any]] = [BenchmarkStage(params), LeaderboardStage(LeaderboardParams())]
    seed = 0
    if config is not None:
        loaded = load_recipe(config)
        if loaded.resolved.get("recipe") == "landmarks":
            _measure_landmarks(loaded, folder, model, device, workers, scheduler, as_json)
            return
        measured = {stage.name for stage in stages}
        stages = [*(stage for stage in loaded.stages if stage.name not in measured), *stages]
        seed = loaded.seed
    request = Request(
        config={"benchmark": params.model_dump(mode="json")},
        seed=seed,
        only=("benchmark", "leaderboard"),
        workers=len(os.sched_getaffinity(0)) if workers is None else workers,
        scheduler=scheduler,
    )
    place = Workspace(folder, create=config is None)
    try:
        summary = run_recipe(stages, place, request)
    except Stopped as stop:
        raise report_stop(stop) from None
    found = place.root / "benchmark" / "results.json"
    if as_json and found.exists():
        typer.echo(found.read_text(encoding="utf-8"), nl=False)
    elif not as_json:
        print_summary(summary, folder, PROGRAM)
        if found.exists():
            typer.echo((found.parent / "leaderboard.md").read_text(encoding="utf-8"))
    raise typer.Exit(1 if summary.failures else 0)


def _measure_landmarks(
    run: Config, workspace: Path, model: str, device: str, workers: int | None, scheduler: str | None, as_json: bool
) -> None:
    """Measure a model of retrieval on the release of a workspace."""
    from mapdata.commands.evaluate import measured, report, vectorised
    from pipeline.workspace import Workspace
    from retrieval.release import read_release
    from stages.encode import EncodeParams

    place = Workspace(workspace)
    benchmark = read_release(workspace / "release")
    params = EncodeParams(model=model, device="cpu" if device == "auto" else device)
    out = workspace / "benchmark"
    found = measured(
        benchmark,
        lambda: vectorised(benchmark, params, place, workers, scheduler, run),
        out,
        device=params.device,
    )
    report(found, as_json)
    if not as_json:
        typer.echo(f"{out / 'report.html'} shows it")
