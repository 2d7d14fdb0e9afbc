"""`mapdata retrieve`: where is this?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapdata.commands.run import report_stop
from mapdata.options import RetrievalDevice, Scheduler, Workers

if TYPE_CHECKING:
    from retrieval.encoders import Encoder
    from retrieval.training.record import TrainingRecord


_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
"""A question that ends like these is a file that is missing, not a sentence."""


class Kind(StrEnum):
    """What a question is."""

    GROUND = "ground"
    SATELLITE = "satellite"
    TEXT = "text"


def register(app: typer.Typer) -> None:
    """Add `retrieve`."""
    app.command()(retrieve)


def retrieve(
    question: Annotated[
        list[str],
        typer.Argument(help="A photograph or an aerial image (a file), several of the same landmark, or a sentence."),
    ],
    release: Annotated[Path, typer.Option(help="Folder of a release of landmarks.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for answers.json and answers.png; made if missing. Default: none.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model by name; see `mapdata evaluate`.")] = "baseline",
    kind: Annotated[
        Kind | None, typer.Option(help="What the question is; default: ground for a file, else text.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only landmarks of this split, train or query.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps the landmarks' vectors for the next question.")
    ] = None,
    allow_trained: Annotated[
        bool, typer.Option(help="Answer also from a release that the model was trained on as a whole.")
    ] = False,
    device: RetrievalDevice = "cpu",
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print answers.json.")] = False,
) -> None:
    """Find the ten likeliest landmarks of a release, and say how much the answer is worth.

    A landmark is known by all of its images, its text and its place. The model says that it does not know where the
    likeliest landmark is more likely wrong than right, as calibrated on landmarks kept aside in its training. Landmarks
    that it was trained on are marked; a release that it was trained on as a whole is refused. Of several images the
    mean of their vectors asks.

    Examples: `mapdata retrieve photo.jpg --release work/landmarks/release --out out/where`,
    `mapdata retrieve "a museum with a round hall in its court" --release work/landmarks/release`
    """
    import json
    from contextlib import nullcontext
    from tempfile import TemporaryDirectory

    from mapdata.encoding import encoded
    from pipeline.run import Stopped
    from pipeline.workspace import Workspace
    from retrieval.answers import Gazetteer
    from retrieval.encode import encode
    from retrieval.encoders import load_encoder
    from retrieval.errors import RetrievalError
    from retrieval.release import read_landmarks
    from stages.encode import EncodeParams

    chosen = _kind_of(question, kind)
    asked: list[Path | str] = list(question) if chosen is Kind.TEXT else [Path(each) for each in question]
    encoder = load_encoder(model, device)
    vectors = encode(encoder, chosen.value, asked)  # first: what is wrong with it shall not wait for a whole release
    landmarks = read_landmarks(release, split)
    record = _record_of(encoder)
    if record is not None and record.knows(landmarks.ids, landmarks.lonlat).all() and not allow_trained:
        raise RetrievalError(
            f"{model} was trained on every landmark of {release} that is to choose from: its answers would say "
            "nothing of what it can; name other landmarks, or give --allow-trained"
        )
    params = EncodeParams(model=model, device=device, dataset=release.absolute(), items="landmarks", split=split)
    try:
        with TemporaryDirectory() if cache is None else nullcontext(cache) as folder:
            tables = encoded(params, Workspace(Path(folder), create=True), workers, scheduler)
    except Stopped as stop:
        raise report_stop(stop) from None
    gazetteer = Gazetteer(encoder, landmarks, tables, record)
    answers = gazetteer.ask(vectors, chosen.value)
    found = answers.to_json()
    if out is not None:
        from cartography.fonts import font_files
        from retrieval.report.picture import draw_answers

        out.mkdir(parents=True, exist_ok=True)
        (out / "answers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        draw_answers(out / "answers.png", asked, answers, landmarks, list(font_files().values()))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(answers.verdict())
    for rank, answer in enumerate(answers.answers, start=1):
        chance = "" if answer.probability is None else f"{answer.probability:6.1%}"
        seen = "  (trained on it)" if answer.trained_on else ""
        lon, lat = answer.lonlat
        typer.echo(f"{rank:3} {answer.score:6.3f} {chance}  {lat:9.4f} {lon:9.4f}  {answer.title}{seen}")


def _kind_of(question: Sequence[str], kind: Kind | None) -> Kind:
    """Return what a question is. Raises RetrievalError for an image that is missing, and for no or several texts."""
    from retrieval.errors import RetrievalError

    missing = [each for each in question if not os.path.isfile(each)]
    if kind is None and not missing:
        return Kind.GROUND
    named = [each for each in missing if Path(each).suffix.lower() in _IMAGES and len(each.split()) == 1]
    if missing and (kind in (Kind.GROUND, Kind.SATELLITE) or len(question) > 1 or (kind is None and named)):
        raise RetrievalError(f"{missing[0]}: no such image; give files, or one sentence with --kind text")
    if kind is None or kind is Kind.TEXT:
        if len(question) > 1 or not question[0].strip():
            raise RetrievalError("a question in words is one text, in quotes, that is not empty")
        return Kind.TEXT
    return kind


def _record_of(encoder: Encoder) -> TrainingRecord | None:
    from retrieval.training.record import record_of

    file = getattr(encoder, "file", None)
    return None if file is None else record_of(file)
