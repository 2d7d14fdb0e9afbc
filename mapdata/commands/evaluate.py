"""`mapdata evaluate` and `mapdata leaderboard`: the retrieval and geolocation tasks of landmarks, for any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mapdata.options import AsJson, RetrievalDevice


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
        typer.Option(help="release, mmlandmarks, university-1652 or cvusa; default: told by the files."),
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task, such as G2S; may be given again.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="official or whole-gallery; default: both.")] = None,
    pooled: Annotated[bool, typer.Option(help="Measure also with all photographs of a landmark together.")] = False,
    device: RetrievalDevice = "cpu",
    as_json: AsJson = False,
) -> None:
    """Measure a model on the tasks of a landmark benchmark: retrieval between modalities, and geolocation.

    With --model the items are encoded first; vectors are kept in the folder of the results, by content, so that a
    command that was stopped goes on. With --embeddings `ground.npy` (N, D) and `ground.ids.txt`, a line an id, hold the
    photographs of queries and index; `satellite`, `text` and `coordinates` likewise. Tasks that lack a side are left
    out. A model that was trained on a landmark that asks is refused.

    Examples: `mapdata evaluate work/landmarks/release --model baseline --out out/baseline`,
    `mapdata evaluate mmlandmarks --embeddings my-model --out out/my-model --task G2S`
    """
    from retrieval.layouts import read_dataset

    if (model is None) == (embeddings is None):
        raise typer.BadParameter("give either --model or --embeddings")
    report(measured(read_dataset(dataset, layout), model, embeddings, out, task, protocol, pooled, device), as_json)


def measured(
    benchmark: Any,
    model: str | None,
    embeddings: Path | None,
    out: Path,
    task: list[str] | None,
    protocol: list[str] | None,
    pooled: bool,
    device: str,
) -> dict[str, Any]:
    """Measure a model by name, or vectors of a folder, and write everything; see `retrieval.measure.measure`."""
    from retrieval.encoders import load_encoder
    from retrieval.measure import encoded, from_files, measure, tasks_of
    from retrieval.metrics import PROTOCOLS, checked_protocol

    protocols = [checked_protocol(name) for name in protocol or PROTOCOLS]
    if embeddings is not None:
        vectors = from_files(embeddings)
    else:
        vectors = encoded(load_encoder(str(model), device), benchmark, out / "vectors.sqlite")
    return measure(benchmark, vectors, tasks_of(benchmark, vectors, task or ()), protocols, out, pooled, device)


def report(found: dict[str, Any], as_json: bool) -> None:
    """Print results."""
    import json

    if as_json:
        typer.echo(json.dumps(found))
        return
    for entry in found["results"]:
        typer.echo(f"{entry['task']}, {entry['protocol']}: {entry['queries']} queries, {entry['gallery']} items")
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
