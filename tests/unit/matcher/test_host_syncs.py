"""How often the matching path waits for its device: each copy to the host stops whoever launches its kernels.

Counted on the CPU, where such copies cost nothing, so that they are seen without a CUDA device.
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

from matcher.dense import matcher as dense
from matcher.mapglue.inference import MapGlueMatcher
from matcher.registry import load_matcher

pytestmark = pytest.mark.unit

MOST = 12
"""Where the search is clear: one for its hypotheses, one for each of three resolutions, one for each of six steps, one
for the windows' peaks, one for the cells' shifts."""

COPIES = ("cpu", "tolist", "item")
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
        """Return a method of tensors that is counted."""

        def method(*args: Any) -> Any:
            self.count[name] += not self.copying
            return self.uncounted(copy)(*args)

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


def test_a_pair_is_matched_with_few_copies_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = load_matcher("fast-mapglue", "cpu")
    assert isinstance(matcher, MapGlueMatcher)
    image = scene()
    turned = np.ascontiguousarray(np.rot90(image))
    syncs = Syncs()
    monkeypatch.setattr(dense, "window_means", syncs.uncounted(dense.window_means))  # of masks that the host made
    for name in COPIES:
        monkeypatch.setattr(torch.Tensor, name, syncs.counted(name, getattr(torch.Tensor, name)))
    with syncs:
        matches = matcher.match(image, turned)
    assert len(matches) > 50
    assert 0 < syncs.count.total() <= MOST, syncs.count
