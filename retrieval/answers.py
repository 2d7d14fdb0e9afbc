"""Where is this? A photograph, an aerial image or a text -> the likeliest landmarks of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.benchmark import Modality
from retrieval.embeddings import Embeddings
from retrieval.encoders.base import Encoder
from retrieval.errors import RetrievalError
from retrieval.prototypes import Calibration, Embedded, prototypes
from retrieval.release import Landmarks
from retrieval.training.record import TrainingRecord
from retrieval.vectors import Float32

SHOWN = 10
_LEAST = 0.5
"""Least probability of the first answer with which it is given as the answer."""


@dataclass(frozen=True)
class Answer:
    """One landmark.

    Attributes:
        landmark: Its number.
        id: Its name in the release.
        title: What it is called.
        score: Cosine similarity of the question and all that is known of the landmark.
        probability: That it is the right one; None where the model has no calibration.
        lonlat: Degrees.
        trained_on: Whether the model was trained on it, so that the answer says little of what it can.
    """

    landmark: int
    id: str
    title: str
    score: float
    probability: float | None
    lonlat: tuple[float, float]
    trained_on: bool


@dataclass(frozen=True)
class Answers:
    """The likeliest landmarks.

    Attributes:
        question: Modality of the question.
        landmarks: How many there are to choose from.
        answers: The likeliest first.
        none: Probability that it is none of the release's landmarks; None without a calibration.
        known: Whether the first answer is more likely right than not; None without a calibration.
    """

    question: Modality
    landmarks: int
    answers: Sequence[Answer]
    none: float | None
    known: bool | None

    def verdict(self) -> str:
        """Return a sentence that says how much the answer is worth."""
        if self.known is None or self.none is None:
            return "the model has no calibration: the order is all that it says"
        first = self.answers[0]
        if self.known:
            return f"{first.title}, with a probability of {first.probability:.0%}"
        return (
            f"I do not know: the likeliest, {first.title}, has a probability of {first.probability:.0%}, that it is "
            f"none of these landmarks {self.none:.0%}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
        return {
            "question": self.question,
            "landmarks": self.landmarks,
            "known": self.known,
            "verdict": self.verdict(),
            "probability_of_none": self.none,
            "answers": [
                {
                    "rank": rank,
                    "landmark_id": each.id,
                    "title": each.title,
                    "score": round(each.score, 6),
                    "probability": None if each.probability is None else round(each.probability, 6),
                    "lon": each.lonlat[0],
                    "lat": each.lonlat[1],
                    "trained_on": each.trained_on,
                }
                for rank, each in enumerate(self.answers, start=1)
            ],
        }


class Gazetteer:
    """The landmarks of a release, each as one vector of a model."""

    def __init__(
        self,
        encoder: Encoder,
        landmarks: Landmarks,
        tables: Mapping[Modality, Embeddings],
        record: TrainingRecord | None = None,
    ) -> None:
        """Make a vector of each landmark.

        Args:
            encoder: The model.
            landmarks: Those to choose from.
            tables: Its vectors of their items, of unit length.
            record: Of the landmarks that the model was trained on.

        Raises:
            RetrievalError: There are no vectors.
        """
        self._encoder, self._landmarks = encoder, landmarks
        if not tables:
            raise RetrievalError(f"the encoder {encoder.name} encodes nothing that the release has")
        embedded: Embedded = {
            name: (tables[name].take(items).read(0, len(items)), items.landmarks)
            for name, items in landmarks.every_item().items()
            if name in tables
        }
        count = len(landmarks.ids)
        self._prototypes = prototypes(embedded, count)
        self._trained_on = np.zeros(count, bool) if record is None else record.knows(landmarks.ids, landmarks.lonlat)

    def ask(self, vectors: Float32, modality: Modality, shown: int = SHOWN) -> Answers:
        """Return the likeliest landmarks.

        Args:
            vectors: (Q, D) of a text, or of one or more images of the same landmark, which ask by the mean of their
                vectors of unit length; the calibration is that of one.
            modality: "ground", "satellite" or "text".
            shown: How many answers.
        """
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        vector = vectors.mean(axis=0)
        scores = self._prototypes @ (vector / max(float(np.linalg.norm(vector)), 1e-12))
        calibration = getattr(self._encoder, "calibration", {}).get(modality)
        probabilities = None if calibration is None else Calibration(**calibration).probabilities(scores[None])[0]
        order = np.argsort(-scores, kind="stable")[:shown]
        answers = [self._answer(int(number), scores, probabilities) for number in order]
        none = None if probabilities is None else float(probabilities[-1])
        first = answers[0].probability
        return Answers(modality, len(scores), answers, none, None if first is None else first >= _LEAST)

    def _answer(
        self, number: int, scores: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float64] | None
    ) -> Answer:
        lon, lat = self._landmarks.lonlat[number].tolist()
        return Answer(
            number, self._landmarks.ids[number], self._landmarks.titles[number], float(scores[number]),
            None if probabilities is None else float(probabilities[number]), (lon, lat), bool(self._trained_on[number]),
        )  # fmt: skip
