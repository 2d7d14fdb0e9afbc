"""`mapdata evaluate` and `mapdata leaderboard`: the retrieval and geolocation tasks of landmarks, for any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapdata.commands.run import report_stop
from mapdata.options import AsJson, RetrievalDevice, Scheduler, Workers

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.workspace import Workspace
    from retrieval.benchmark import Benchmark
    from retrieval.measure import Vectorised
    from stages.encode import EncodeParams


class Search(StrEnum):
    """How galleries are searched."""

    EXACT = "exact"
    FAISS = "faiss"


def register(app: typer.Typer) -> None:
    """Add `evaluate` and `leaderboard`."""
    app.command()(evaluate)
    app.command()(leaderboard)


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a release of landmarks, or of a dataset of --layout.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json, report.html and tables of queries.")],
    model: Annotated[
        str | None, typer.Option(help="A model by name: baseline, baseline@FILE, open_clip:FOLDER, module:Class ...")
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Instead of --model: folder with a table a modality, NAME.npy or .parquet.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="release, mmlandmarks, university-1652, university-1652-street or cvusa; default: told by the files."
        ),
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task, such as G2S; may be given again.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="official or whole-gallery; default: both.")] = None,
    pooled: Annotated[bool, typer.Option(help="Measure also with all photographs of a landmark together.")] = False,
    search: Annotated[
        Search, typer.Option(help="exact, or faiss: approximate, for galleries of many millions.")
    ] = Search.EXACT,
    device: RetrievalDevice = "cpu",
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on the tasks of a landmark benchmark: retrieval between modalities, and geolocation.

    With --model the items are encoded first, by several processes; vectors are kept in `encoding/` of the results'
    folder, by content, so that a command that was stopped goes on. With --embeddings `ground.npy` (N, D) and
    `ground.ids.txt`, a line an id, hold the photographs of queries and index; `satellite`, `text` and `coordinates`
    likewise. Tasks that lack a side are left out. A model that was trained on a landmark that asks is refused.

    Examples: `mapdata evaluate work/landmarks/release --model baseline --out out/baseline`,
    `mapdata evaluate mmlandmarks --embeddings my-model --out out/my-model --task G2S`
    """
    from pipeline.workspace import Workspace
    from retrieval.layouts import read_dataset
    from retrieval.measure import from_files
    from stages.encode import EncodeParams

    if (model is None) == (embeddings is None):
        raise typer.BadParameter("give either --model or --embeddings")
    benchmark = read_dataset(dataset, layout)

    def vectors() -> Vectorised:
        if model is None:
            assert embeddings is not None
            return from_files(embeddings)
        params = EncodeParams(model=model, device=device, dataset=dataset.absolute(), layout=layout)
        return vectorised(benchmark, params, Workspace(out / "encoding", create=True), workers, scheduler)

    found = measured(benchmark, vectors, out, task or (), protocol or (), pooled, device, search is Search.FAISS)
    report(found, as_json)


def vectorised(
    benchmark: Benchmark,
    params: EncodeParams,
    place: Workspace,
    workers: int | None = None,
    scheduler: str | None = None,
    run: Config | None = None,
) -> Vectorised:
    """Encode a benchmark with a model; see `mapdata.encoding.encoded`."""
    from mapdata.encoding import encoded
    from pipeline.run import Stopped
    from retrieval.encoders import load_encoder
    from retrieval.encoders.registry import shown_name
    from retrieval.measure import Vectorised, refuse_trained

    encoder = load_encoder(params.model, params.device)
    refuse_trained(encoder, benchmark)
    try:
        return Vectorised(shown_name(encoder.name), encoder.identity, encoded(params, place, workers, scheduler, run))
    except Stopped as stop:
        raise report_stop(stop) from None


def measured(
    benchmark: Benchmark,
    vectors: Callable[[], Vectorised],
    out: Path,
    tasks: Sequence[str] = (),
    protocols: Sequence[str] = (),
    pooled: bool = False,
    device: str = "cpu",
    approximate: bool = False,
) -> dict[str, Any]:
    """Measure what `vectors` gives, which is asked for once the names are checked; see `retrieval.measure.measure`."""
    from retrieval.measure import checked_tasks, measure, tasks_of
    from retrieval.metrics import PROTOCOLS, checked_protocol
    from retrieval.search import checked_device

    chosen = list(dict.fromkeys(checked_protocol(name) for name in protocols or PROTOCOLS))
    checked_tasks(tasks)
    checked_device(device)
    given = vectors()
    return measure(benchmark, given, tasks_of(benchmark, given, tasks), chosen, out, pooled, device, approximate)


def report(found: dict[str, Any], as_json: bool) -> None:
    """Print results."""
    import json

    if as_json:
        typer.echo(json.dumps(found))
        return
    for entry in found["results"]:
        unasked = entry["queries_without_answer"]
        note = f", {unasked} more have no right answer in the gallery" if unasked else ""
        typer.echo(f"{entry['task']}, {entry['protocol']}: {entry['queries']} queries, {entry['gallery']} items{note}")
        for name, figure in entry["figures"].items():
            typer.echo(f"  {name:22} {figure['value']:10.4f}  ({figure['low']:.4f} to {figure['high']:.4f})")


def leaderboard(
    results: Annotated[list[Path], typer.Argument(help="Folders that `mapdata evaluate` wrote, of any machines.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file to write; default: print it.")] = None,
) -> None:
    """Merge results of several models and machines into one leaderboard: a table a dataset, task and protocol.

    Example: `mapdata leaderboard out/baseline out/my-model --out leaderboard.md`
    """
    from retrieval.report.leaderboard import read_results, write_leaderboard

    text = write_leaderboard([read_results(path) for path in results])
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text, encoding="utf-8")
