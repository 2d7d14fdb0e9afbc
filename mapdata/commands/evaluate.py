"""`mapdata evaluate`: the retrieval and geolocation tasks of landmarks, from embeddings of any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `evaluate`."""
    app.command()(evaluate)


def evaluate(
    release: Annotated[Path, typer.Argument(help="Folder in the layout of the published MMLandmarks dataset.")],
    embeddings: Annotated[Path, typer.Option(help="Folder with a table of vectors a modality: NAME.npy or .parquet.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json and a table of queries for each task.")],
    task: Annotated[list[str] | None, typer.Option(help="Only this task, such as G2S; may be given again.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="official or whole-gallery; default: both.")] = None,
    device: Annotated[str, typer.Option(help="cpu, or a torch device for the search.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure embeddings on the tasks of a landmark benchmark: retrieval between modalities, and geolocation.

    `ground.npy` (N, D) with `ground.ids.txt`, a line an id, holds the photographs of queries and index; `satellite`,
    `text` and `coordinates` likewise. Tasks whose tables are not there are left out.

    Example: `mapdata evaluate mmlandmarks --embeddings my-model --out out/my-model --task G2S`
    """
    import json

    import pyarrow.parquet as pq

    from retrieval.benchmark import TASKS
    from retrieval.embeddings import has_embeddings, read_embeddings
    from retrieval.errors import RetrievalError
    from retrieval.evaluate import evaluate as evaluate_task
    from retrieval.metrics import PROTOCOLS, checked_protocol
    from retrieval.official import read_official

    unknown = [name for name in task or () if name not in TASKS]
    if unknown:
        raise typer.BadParameter(f"no task {unknown[0]!r}; tasks: {', '.join(TASKS)}", param_hint="--task")
    protocols = [checked_protocol(name) for name in protocol or PROTOCOLS]
    chosen = [TASKS[name] for name in task or TASKS]
    if not task:
        chosen = [each for each in chosen if all(has_embeddings(embeddings, m) for m in (each.query, each.gallery))]
    if not chosen:
        raise RetrievalError(f"{embeddings}: no two tables of a task; write them as `mapdata evaluate --help` says")
    benchmark = read_official(release)
    found = []
    out.mkdir(parents=True, exist_ok=True)
    for each in chosen:
        tables = {name: read_embeddings(embeddings, name) for name in (each.query, each.gallery)}
        for result in evaluate_task(benchmark, tables, each, protocols, device=device):
            pq.write_table(result.rows, out / f"{result.task}-{result.protocol}.parquet")
            found.append(result.to_json())
    (out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(found))
        return
    for entry in found:
        typer.echo(f"{entry['task']}, {entry['protocol']}: {entry['queries']} queries, {entry['gallery']} items")
        for name, figure in entry["figures"].items():
            typer.echo(f"  {name:22} {figure['value']:10.4f}  ({figure['low']:.4f} to {figure['high']:.4f})")
