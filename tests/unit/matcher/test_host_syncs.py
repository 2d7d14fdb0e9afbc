"""How often the matching path waits for its device: each copy to the host stops whoever launches its kernels.

Counted on the CPU, made to do what other devices do, so that they are seen without a CUDA device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from rectangles import scene
from torch.utils._python_dispatch import TorchDispatchMode

from matcher.dense import resident
from matcher.mapglue import inference
from matcher.mapglue.inference import MapGlueMatcher
from matcher.registry import load_matcher
from matcher.types import Matches
from raster.fit import fit
from raster.homography import apply_homography

pytestmark = pytest.mark.unit

MOST = {"clear": 2, "unclear": 3, "clear but wrong": 4}
"""By whether the search is clear: one for its hypotheses and one for the answer, one for all hypotheses together where
they must be compared, and one more where the first alone turned out wrong before."""

COPIES = ("cpu", "numpy", "tolist", "item")
WAITING = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten._linalg_check_errors")


class Syncs(TorchDispatchMode):
    """Counts operations whose result the host must know; those within a copy that is counted already do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.copying = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        if name in WAITING and not self.copying:
            self.count[name] += 1
        return func(*args, **(kwargs or {}))

    def counted(self, name: str, copy: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of tensors that is counted; an array of a tensor that was copied already is no copy."""

        def method(tensor: Any, *args: Any) -> Any:
            self.count[name] += not self.copying and not getattr(tensor, "copied", False)
            found = self.uncounted(copy)(tensor, *args)
            if name == "cpu":
                found = found.clone()
                found.copied = True
            return found

        return method

    def uncounted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function within which nothing is counted."""

        def call(*args: Any) -> Any:
            before, self.copying = self.copying, True
            try:
                return function(*args)
            finally:
                self.copying = before

        return call


@pytest.fixture(scope="module")
def pair() -> tuple[MapGlueMatcher, np.ndarray, np.ndarray]:
    """Return a matcher and two images, the second turned."""
    matcher = load_matcher("fast-mapglue", "cpu")
    assert isinstance(matcher, MapGlueMatcher)
    return matcher, scene(), np.ascontiguousarray(np.rot90(scene()))


@pytest.mark.parametrize("search", MOST)
def test_a_pair_is_matched_with_few_copies_to_the_host(
    search: str, pair: tuple[MapGlueMatcher, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher, image, turned = pair
    monkeypatch.setattr(inference, "clear", lambda likely: search != "unclear")
    if search == "clear but wrong":
        answers = iter([lambda *evidence: Matches.empty(), inference.judged])
        monkeypatch.setattr(inference, "MIN_SCORE", float("inf"))
        monkeypatch.setattr(inference, "judged", lambda *evidence: next(answers)(*evidence))
    monkeypatch.setattr(resident, "HOST", "none")
    syncs = Syncs()
    for name in COPIES:
        monkeypatch.setattr(torch.Tensor, name, syncs.counted(name, getattr(torch.Tensor, name)))
    with syncs:
        matches = matcher.match(image, turned)
    assert len(matches) > 50
    assert 0 < syncs.count.total() <= MOST[search], syncs.count


def test_the_answer_of_a_device_is_that_of_the_host(
    pair: tuple[MapGlueMatcher, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher, image, turned = pair
    here = matcher.match(image, turned)
    monkeypatch.setattr(resident, "HOST", "none")
    there = matcher.match(image, turned)
    assert there.confidence == pytest.approx(here.confidence, abs=0.02)
    corners = [[0.0, 0.0], [300.0, 0.0], [300.0, 300.0], [0.0, 300.0]]
    first, second = (fit(matches.points0, matches.points1).matrix for matches in (here, there))
    assert first is not None
    assert second is not None
    assert np.abs(apply_homography(first, corners) - apply_homography(second, corners)).max() < 0.3
