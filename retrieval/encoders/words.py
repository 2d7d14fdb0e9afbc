"""Texts as bags of hashed words: a frozen encoder that needs no package and no training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

DIMENSIONS = 1024
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


def describe_text(text: str) -> npt.NDArray[np.float32]:
    """Return the hashed words and pairs of words of a text: (`DIMENSIONS`,) float32 of unit length.

    The hashing trick of Weinberger et al. (ICML 2009): the digest of a word chooses its place and its sign.

    Args:
        text: Of any language; words are compared in lower case.

    Returns:
        Zeros where the text has no words.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    vector = np.zeros(DIMENSIONS, np.float32)
    for token in [*words, *(f"{a} {b}" for a, b in pairwise(words))]:
        digest = int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "little")
        vector[digest % DIMENSIONS] += 1.0 if digest >> 63 else -1.0
    vector = np.sign(vector) * np.log1p(np.abs(vector))
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def describe_texts(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return `describe_text` of each text: (N, `DIMENSIONS`).

    Args:
        texts: N texts, none at all too.

    Returns:
        float32, each row as `describe_text` returns it.
    """
    return np.stack([describe_text(text) for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)
