"""The picture of an answer: the question, a map, and the likeliest landmarks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from retrieval.answers import Answers
from retrieval.benchmark import Modality
from retrieval.encoders.base import Image
from retrieval.errors import RetrievalError
from retrieval.images import read_image
from retrieval.release import Landmarks

_ROWS, _COLUMNS = 3, 5
_TILE = 240
_ASKED = 3
"""Images of a question that are drawn."""


def draw_answers(
    path: Path,
    question: Sequence[Path | str],
    answers: Answers,
    landmarks: Landmarks,
    fonts: Sequence[Path] = (),
) -> None:
    """Write a PNG.

    Args:
        path: The file.
        question: The images or the text that was asked.
        answers: What was found.
        landmarks: Those that were to choose from.
        fonts: Files of fonts for the scripts that matplotlib's own lacks.
    """
    with rc_context({"font.family": ["DejaVu Sans", *_families(fonts)]}):
        _drawn(question, answers, landmarks).savefig(path, format="png", metadata={"Software": None})


def _families(fonts: Sequence[Path]) -> list[str]:
    """Let matplotlib know fonts, and return the names of their families."""
    for font in fonts:
        font_manager.fontManager.addfont(font)
    return list(dict.fromkeys(font_manager.FontProperties(fname=font).get_name() for font in fonts))


def _drawn(question: Sequence[Path | str], answers: Answers, landmarks: Landmarks) -> Figure:
    figure = Figure(figsize=(13, 9), dpi=100, layout="constrained")
    grid = figure.add_gridspec(_ROWS, _COLUMNS, height_ratios=[2.2, 1, 1])
    asked = figure.add_subplot(grid[0, :2])
    asked.set_axis_off()
    if answers.question != "text":
        asked.imshow(_side_by_side([read_image(Path(each)) for each in question[:_ASKED]]))
    else:
        lines = textwrap.fill(str(question[0])[:600], 42)
        asked.text(0.02, 0.95, lines, va="top", fontsize=13, transform=asked.transAxes, wrap=True, parse_math=False)
    asked.set_title("The question", loc="left")
    _draw_map(figure.add_subplot(grid[0, 2:]), answers, landmarks)
    for rank, answer in enumerate(answers.answers[: 2 * _COLUMNS], start=1):
        place = figure.add_subplot(grid[1 + (rank - 1) // _COLUMNS, (rank - 1) % _COLUMNS])
        place.set_axis_off()
        place.imshow(_looks(landmarks, answer.landmark))
        chance = "" if answer.probability is None else f", {answer.probability:.1%}"
        seen = "\n(trained on it)" if answer.trained_on else ""
        title = textwrap.shorten(answer.title, 30, placeholder="...")
        place.set_title(f"{rank}. {title}\n{answer.score:.3f}{chance}{seen}", fontsize=9, parse_math=False)
    figure.suptitle(textwrap.fill(answers.verdict(), 110), x=0.01, ha="left", parse_math=False)
    return figure


def _side_by_side(images: Sequence[Image]) -> Image:
    """Join images, reduced to the height of the lowest."""
    height = min(image.shape[0] for image in images)
    sizes = [(max(1, round(image.shape[1] * height / image.shape[0])), height) for image in images]
    made = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image, size in zip(images, sizes, strict=True)]
    return np.asarray(np.concatenate(made, axis=1), np.uint8)


def _draw_map(place: Any, answers: Answers, landmarks: Landmarks) -> None:
    place.scatter(*landmarks.lonlat.T, s=6, color="0.75", label=f"all {len(landmarks.ids)} landmarks")
    for rank, answer in enumerate(answers.answers, start=1):
        place.scatter(*answer.lonlat, s=28, color="#d55e00" if rank == 1 else "#0072b2", zorder=4 if rank == 1 else 3)
        angle = 2 * np.pi * rank / len(answers.answers)  # numbers of answers at one place stand around it
        away = (13 * np.sin(angle), 13 * np.cos(angle))
        place.annotate(
            str(rank), answer.lonlat, xytext=away, textcoords="offset points", ha="center", va="center", fontsize=10,
            zorder=5, path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    middle = float(np.radians(landmarks.lonlat[:, 1].mean()))
    place.set_aspect(1 / max(float(np.cos(middle)), 0.1), adjustable="datalim")
    place.grid(color="0.92")
    place.set_xlabel("longitude (°)")
    place.set_ylabel("latitude (°)")
    place.set_title("Where the answers are", loc="left")
    place.legend(loc="lower left", fontsize=8)


def _looks(landmarks: Landmarks, number: int) -> np.ndarray:
    """Return an aerial image of a landmark beside a photograph, where there are such."""
    tiles = []
    shown: tuple[Modality, ...] = ("satellite", "ground")
    for items in (landmarks.items[name] for name in shown if name in landmarks.items):
        own = np.flatnonzero(items.landmarks == number)
        if len(own) and items.content is not None:
            try:
                image = read_image(Path(items.content(int(own[-1]))))
            except RetrievalError:
                continue
            side = min(image.shape[:2])
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            square = image[top : top + side, left : left + side]
            tiles.append(cv2.resize(square, (_TILE, _TILE), interpolation=cv2.INTER_AREA))
    return np.concatenate(tiles, axis=1) if tiles else np.full((_TILE, _TILE, 3), 230, np.uint8)
