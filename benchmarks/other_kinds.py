"""How accurate a matcher is on SRIF's other kinds of pairs, beside a peer on the same views.

    python benchmarks/other_kinds.py --json > benchmarks/results/other_kinds.json

Infrared, depth and night, the pairs that no setting is chosen on, at three levels with random homographies. The test is
McNemar's, of equal success within 10 px over all views; views of one pair are not independent, so the interval of the
difference is by bootstrap over pairs.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report
from accuracy import LEVELS, seeded_pair

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import score_pair, share_within
from matcher.benchmark.pairs import srif_pairs
from matcher.benchmark.statistics import bootstrap, mcnemar
from matcher.registry import load_matcher
from matcher.types import Matcher

KINDS = ("Optical-Infrared", "Optical-Depth", "Nighttime")
RIGHT_PX = 10.0


def measured(matchers: list[Matcher], folder: Path, seeds: int) -> np.ndarray:
    """Return the corner errors of the views of each pair of a kind by each matcher: pairs x matchers x views."""
    errors = []
    for pair in [files.load() for files in srif_pairs(folder, "final")]:
        views = [at_level(seeded_pair(pair, seed), level) for seed, level in product(range(seeds), LEVELS)]
        found = [
            [score_pair(matcher.match(view.image0, view.image1), view).corner_error_px for view in views]
            for matcher in matchers
        ]
        print(pair.name, found, file=sys.stderr, flush=True)
        errors.append(found)
    return np.array(errors)


def compared(errors: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Return each matcher's share of right views, and how the first compares with the second."""
    right = errors <= RIGHT_PX
    difference = bootstrap(
        errors, lambda e: share_within(e[:, 0].ravel(), RIGHT_PX) - share_within(e[:, 1].ravel(), RIGHT_PX)
    )
    only_first, only_second = (int((right[:, i] & ~right[:, 1 - i]).sum()) for i in (0, 1))
    return {
        "pairs": len(errors),
        "views": right[:, 0].size,
        "within_10px": {name: float(right[:, number].mean()) for number, name in enumerate(names)},
        "difference": [difference.value, difference.low, difference.high],
        "right_of_one_only": [only_first, only_second],
        "p": mcnemar(only_first, only_second),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--matchers", nargs=2, default=["fast-mapglue", "cfog"])
    parser.add_argument("--seeds", type=int, default=4, help="random homographies of a pair and level")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    matchers = [load_matcher(name, "cpu") for name in arguments.matchers]
    errors = {kind: measured(matchers, arguments.data / "pairs/srif" / kind, arguments.seeds) for kind in KINDS}
    figures: dict[str, Any] = {kind: compared(values, arguments.matchers) for kind, values in errors.items()}
    figures["all"] = compared(np.concatenate(list(errors.values())), arguments.matchers)
    workload = {"pairs": "SRIF, pairs 5 and up", "seeds": arguments.seeds, "matchers": arguments.matchers}
    report("other_kinds", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
