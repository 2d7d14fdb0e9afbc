"""One vector a landmark, from all that is known of it, and how reliable the answers are that it gives.

A question is compared with every landmark's prototype. Scores become probabilities by a softmax with one more choice,
"none of these"; its two numbers are fitted to landmarks that were kept aside in training, once with the right landmark
among the choices and once without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from retrieval.benchmark import Modality
from retrieval.vectors import Float32

Values = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

Embedded = Mapping[Modality, tuple[Float32, Numbers]]
"""Modality -> embeddings of unit length (N, D), and the number of each item's landmark (N,)."""


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities.

    Attributes:
        factor: On cosine similarities.
        none: Logit of the answer "none of these landmarks".
    """

    factor: float = 20.0
    none: float = 12.0

    def probabilities(self, scores: Values) -> Values:
        """Return the probabilities (Q, L + 1) of L landmarks from scores (Q, L); the last is that it is none of
        them."""
        return np.asarray(softmax(self._logits(scores), axis=1))

    def _logits(self, scores: Values) -> Values:
        return np.concatenate([self.factor * scores, np.full((len(scores), 1), self.none)], axis=1)


def prototypes(embedded: Embedded, count: int) -> Values:
    """Return a vector for each landmark.

    Args:
        embedded: Items of all modalities, several a landmark or none.
        count: How many landmarks there are.

    Returns:
        (count, D) of unit length: the mean over modalities of the mean of the landmark's items; 0 without any item.
    """
    total = np.zeros((count, next(iter(embedded.values()))[0].shape[1]))
    for vectors, landmarks in embedded.values():
        total += _unit(_sums(vectors, landmarks, count))
    return _unit(total)


def fit_calibration(embedded: Embedded, count: int) -> dict[str, dict[str, float]]:
    """Fit a `Calibration` for questions of each modality but coordinates, to landmarks that were not trained on.

    A question is an item of a landmark; the landmark's prototype is made of all its other items.

    Args:
        embedded: Items of these landmarks.
        count: How many landmarks there are.

    Returns:
        Modality -> the fields of its calibration.
    """
    found = {}
    for modality in embedded:
        if modality != "coordinates":
            scores, right = leave_one_out(embedded, modality, count)
            found[str(modality)] = asdict(_fitted(scores, right))
    return found


def leave_one_out(embedded: Embedded, modality: Modality, count: int) -> tuple[Values, Numbers]:
    """Return scores (Q, L) of every item of a modality against all prototypes, and the right landmark of each (Q,).

    Of its own landmark's prototype the item itself is left out.

    Args:
        embedded: Items of L landmarks, in all modalities.
        modality: Whose items ask.
        count: L, how many landmarks there are; their numbers are 0 to L - 1.

    Returns:
        Cosine similarities, 0 for a landmark of which nothing (else) is known; and the landmarks.
    """
    vectors, landmarks = embedded[modality]
    vectors = np.asarray(vectors, np.float64)
    others = {name: each for name, each in embedded.items() if name != modality}
    rest = np.zeros((count, vectors.shape[1]))
    for each, numbers in others.values():
        rest += _unit(_sums(each, numbers, count))
    sums = _sums(vectors, landmarks, count)
    scores = vectors @ _unit(rest + _unit(sums)).T
    own = _unit(rest[landmarks] + _unit(sums[landmarks] - vectors))
    scores[np.arange(len(vectors)), landmarks] = (own * vectors).sum(axis=1)
    return scores, landmarks


def _fitted(scores: Values, right: Numbers) -> Calibration:
    """Fit by likelihood: half of the weight on questions whose landmark is a choice, half on those where it is not."""
    absent = scores.copy()
    absent[np.arange(len(scores)), right] = -np.inf

    def loss(parameters: Values) -> float:
        factor, none = float(np.exp(parameters[0])), float(parameters[1])
        known = log_softmax(np.column_stack([factor * scores, np.full(len(scores), none)]), axis=1)
        unknown = log_softmax(np.column_stack([factor * absent, np.full(len(scores), none)]), axis=1)
        return -float(known[np.arange(len(scores)), right].mean() + unknown[:, -1].mean())

    start = Calibration()
    fit = minimize(loss, [np.log(start.factor), start.none], method="Nelder-Mead")
    return Calibration(round(float(np.exp(fit.x[0])), 4), round(float(fit.x[1]), 4))


def _sums(vectors: npt.NDArray[np.float32] | Values, landmarks: Numbers, count: int) -> Values:
    total = np.zeros((count, vectors.shape[1]))
    np.add.at(total, landmarks, vectors)
    return total


def _unit(vectors: Values) -> Values:
    """Divide by the length; vectors that are nearly 0 become 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-9)
