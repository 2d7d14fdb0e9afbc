"""Building the release of a finished workspace again, with more formats than it has."""

from __future__ import annotations

from collections.abc import Iterable

from catalog.model import RELEASE_NAME, Benchmark, Format
from matcher.benchmark.leaderboard import measured
from pipeline.errors import PermanentError, WorkspaceError
from pipeline.ledger import Ledger
from pipeline.stage import RunView
from pipeline.workspace import Workspace
from raster.strict_json import read_json
from stages.benchmark import FOLDER as BENCHMARK
from stages.release import FOLDER, ReleaseParams, ReleaseStage, write_release


def export_release(workspace: Workspace, formats: Iterable[str]) -> list[str]:
    """Build the release anew with some formats beside those it has. The caller holds the workspace's lock.

    Args:
        workspace: Of a run that has got as far as a release; other tables of the workspace must still be there.
        formats: Names of formats to add, see `catalog.schema.Format`.

    Returns:
        The names of all formats that it has now, sorted.

    Raises:
        WorkspaceError: No run has got as far as a release.
        PermanentError: The workspace lacks what a format needs.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        results = {stage: ledger.results(stage) for stage in ledger.stages()}
    made = results.pop("release", {}).get("release")
    if made is None:
        raise WorkspaceError(
            f"workspace {workspace.root} has no release yet. Run it to its end with `mapdata run`, then export."
        )
    results.pop("benchmark", None)
    params = ReleaseParams.model_validate(made.data["params"])
    chosen = sorted({*_present(workspace), *map(Format, formats)})
    stage = ReleaseStage(params.model_copy(update={"formats": tuple(chosen)}))
    (unit,) = stage.plan(RunView(workspace.root, made.data["seed"], results))
    (manifest,) = made.outputs
    write_release(unit.payload, stage.params, workspace.root, _benchmark(workspace, manifest.digest))
    return [name.value for name in chosen]


def _present(workspace: Workspace) -> list[Format]:
    try:
        summary = read_json(workspace.root / FOLDER / RELEASE_NAME)
        return [Format(name) for name in summary["formats"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # absent or damaged: this export repairs it


def _benchmark(workspace: Workspace, manifest: str) -> Benchmark:
    """Return the headline figures of `mapdata benchmark`, none if it has not run on the release of this manifest."""
    path = workspace.root / BENCHMARK / "results.json"
    if not path.exists():
        return Benchmark()
    try:
        results = read_json(path)
        if results["set"].get("manifest") != manifest:
            return Benchmark()
        return Benchmark(results["set"]["split"], results["headline"], f"Shares from 0 to 1: {measured(results)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentError(f"{path}: damaged ({error!r}); remove it, or run `mapdata benchmark` again") from error
