"""What the benchmark's harness costs beside the matchers it measures.

    python benchmarks/harness.py --json

Pairs of 512 x 512 textured images on disk, all levels. The harness's own time is what a pair takes seen from outside,
less what any loop over the pairs must do, which is reading them, the matcher and the two robust fits: what is left is
warping, scoring, and talking to the matcher's process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from _machine import report

from matcher.benchmark.isolation import Trial, run_trial
from matcher.benchmark.readers import PairSpec
from raster.levels import LEVELS

PAIRS = 6
MATCHERS = ("akaze", "rootsift", "xfeat")


def make_pairs(folder: Path) -> Path:
    """Write pairs of a textured image and a paler, noisy copy, and the CSV that lists them."""
    lines = ["name,image0,image1,homography"]
    for index in range(PAIRS):
        rng = np.random.default_rng(index)
        octaves = [
            cv2.resize(rng.normal(0, 1, (n, n, 3)), (512, 512), interpolation=cv2.INTER_CUBIC) for n in (8, 32, 128)
        ]
        image = np.clip(128 + 40 * sum(octaves), 0, 255).astype(np.uint8)
        paler = np.clip(image * 0.6 + 60 + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        for side, pixels in enumerate((image, paler)):
            cv2.imwrite(str(folder / f"{index}_{side}.png"), pixels)
        lines.append(f"p{index},{index}_0.png,{index}_1.png,")
    table = folder / "pairs.csv"
    table.write_text("\n".join(lines))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--matcher", action="append", help="name for load_matcher; may be given several times")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = PairSpec(str(make_pairs(Path(folder))), "csv")
        for name in arguments.matcher or MATCHERS:
            started = time.perf_counter()
            rows = list(run_trial(Trial(name, pairs, LEVELS, device="cpu")))
            total = time.perf_counter() - started
            spent = {
                name: sum(row[f"{name}_s"] for row in rows) for name in ("load", "match", "fit", "fit_ransac", "wall")
            }
            wall, match = spent.pop("wall"), spent["match"]
            own = wall - sum(spent.values())
            figures[f"{name}_match_ms"] = round(1000 * match / len(rows), 1)
            figures[f"{name}_harness_ms"] = round(1000 * own / len(rows), 1)
            figures[f"{name}_harness_share"] = round(own / match, 4)
            figures[f"{name}_reading_ms"] = round(1000 * spent["load"] / len(rows), 1)
            figures[f"{name}_start_s"] = round(total - wall, 1)
    workload = {"pairs": PAIRS, "levels": len(LEVELS), "image_px": 512, "threads": 1}
    report("harness", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
