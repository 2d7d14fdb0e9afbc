"""`mapdata retrieve`: where is this?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapdata.options import RetrievalDevice

if TYPE_CHECKING:
    from retrieval.encoders import Encoder
    from retrieval.training.record import TrainingRecord


class Kind(StrEnum):
    """What a question is."""

    GROUND = "ground"
    SATELLITE = "satellite"
    TEXT = "text"


def register(app: typer.Typer) -> None:
    """Add `retrieve`."""
    app.command()(retrieve)


def retrieve(
    question: Annotated[str, typer.Argument(help="A photograph or an aerial image (a file), or a sentence.")],
    release: Annotated[Path, typer.Option(help="Folder of a release of landmarks.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for answers.json and answers.png; made if missing. Default: none.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model by name; see `mapdata evaluate`.")] = "baseline",
    kind: Annotated[
        Kind | None, typer.Option(help="What the question is; default: ground for a file, else text.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only landmarks of this split, train or query.")] = None,
    cache: Annotated[Path | None, typer.Option(help="File that keeps vectors for the next question.")] = None,
    allow_trained: Annotated[
        bool, typer.Option(help="Answer also from a release that the model was trained on as a whole.")
    ] = False,
    device: RetrievalDevice = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print answers.json.")] = False,
) -> None:
    """Find the ten likeliest landmarks of a release, and say how much the answer is worth.

    A landmark is known by all of its images, its text and its place. The model says that it does not know where the
    likeliest landmark is more likely wrong than right, as calibrated on landmarks kept aside in its training. Landmarks
    that it was trained on are marked; a release that it was trained on as a whole is refused.

    Examples: `mapdata retrieve photo.jpg --release work/landmarks/release --out out/where`,
    `mapdata retrieve "a museum with a round hall in its court" --release work/landmarks/release`
    """
    import json

    from retrieval.answers import Gazetteer
    from retrieval.encode import opened_cache
    from retrieval.encoders import load_encoder
    from retrieval.errors import RetrievalError
    from retrieval.release import read_landmarks

    is_file = Path(question).is_file()
    chosen = kind or (Kind.GROUND if is_file else Kind.TEXT)
    if chosen is not Kind.TEXT and not is_file:
        raise RetrievalError(f"{question}: no such image; give a file, or a sentence with --kind text")
    asked: Path | str = question if chosen is Kind.TEXT else Path(question)
    encoder = load_encoder(model, device)
    landmarks = read_landmarks(release, split)
    with opened_cache(cache) as opened:
        gazetteer = Gazetteer(encoder, landmarks, opened, _record_of(encoder))
    if gazetteer.trained_on.all() and not allow_trained:
        raise RetrievalError(
            f"{model} was trained on every landmark of {release} that is to choose from: its answers would say "
            "nothing of what it can; name other landmarks, or give --allow-trained"
        )
    answers = gazetteer.ask(asked, chosen.value)
    found = answers.to_json()
    if out is not None:
        from retrieval.report.picture import draw_answers

        out.mkdir(parents=True, exist_ok=True)
        (out / "answers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        draw_answers(out / "answers.png", asked, answers, landmarks)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(answers.verdict())
    for rank, answer in enumerate(answers.answers, start=1):
        chance = "" if answer.probability is None else f"{answer.probability:6.1%}"
        seen = "  (trained on it)" if answer.trained_on else ""
        lon, lat = answer.lonlat
        typer.echo(f"{rank:3} {answer.score:6.3f} {chance}  {lat:9.4f} {lon:9.4f}  {answer.title}{seen}")


def _record_of(encoder: Encoder) -> TrainingRecord | None:
    from retrieval.training.record import record_of

    file = getattr(encoder, "file", None)
    return None if file is None else record_of(file)
