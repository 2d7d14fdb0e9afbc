"""How many pairs of 512 x 512 images a second each matcher matches, beside the floor set by operations and bytes.

    python benchmarks/matching.py --json > benchmarks/results/matching.json

All matchers take turns, round by round, so that whatever else the machine does slows all of them alike. The floor of a
pair is the larger of two times: its floating-point operations (counted by PyTorch: convolutions, products, attention)
at the rate of a large matrix product measured here, and the bytes that must move at least (parameters and images, once)
at the rate of a large copy measured here. Matchers that are not installed are listed with the reason.
"fast-mapglue:single-pass" is the bare network, which compares with other sparse matchers; "fast-mapglue" also searches
over initial hypotheses and refines. ":compiled" runs its extractor through torch.compile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report
from torch.utils.flop_counter import FlopCounterMode

from matcher.errors import MatcherError
from matcher.precision import mixed_precision
from matcher.registry import load_matcher
from matcher.types import Matcher

SIZE = 512
MATCHERS = ["fast-mapglue:single-pass", "fast-mapglue:single-pass:compiled", "fast-mapglue", "mapglue"]
MATCHERS += ["xfeat-lighterglue", "aliked-lightglue"]


def pairs(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return `count` image pairs rich in corners: small rectangles and texture, and their negative, turned."""
    generator = np.random.default_rng(0)
    images0, images1 = [], []
    for _ in range(count):
        image = np.full((SIZE, SIZE, 3), 200, np.uint8)
        for _ in range(12000):
            y, x = generator.integers(0, SIZE, 2)
            height, width = generator.integers(3, 10, 2)
            image[y : y + height, x : x + width] = generator.integers(0, 255, 3)
        texture = cv2.GaussianBlur(generator.normal(0, 40, image.shape).astype(np.float32), (0, 0), 1)
        turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), generator.uniform(-10, 10), 1.05)
        images0.append(np.clip(image + texture, 0, 255).astype(np.uint8))
        images1.append(cv2.warpAffine(255 - image, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT_101))
    return images0, images1


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Time one call, including what it left running on the device."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def rates(device: torch.device) -> dict[str, float]:
    """Measure what the machine can do: operations a second in a matrix product, in float32 and in the precision that
    networks compute in, and bytes a second in a copy."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = torch.rand(2, side, side, device=device)
    source = torch.empty(256 * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ b, device) for _ in range(5))
    with mixed_precision(device):
        mixed = min(seconds(lambda: a @ b, device) for _ in range(5))
    copy = min(seconds(lambda: target.copy_(source), device) for _ in range(5))
    return {
        "float32_flops_per_s": 2 * side**3 / product,
        "mixed_precision_flops_per_s": 2 * side**3 / mixed,
        "bytes_per_s": 2 * source.numel() / copy,
    }


def floor(matcher: Matcher, image0: np.ndarray, image1: np.ndarray, machine: dict[str, float]) -> dict[str, float]:
    """Return the operations and least bytes of one pair, and the time (s) that no implementation can beat here."""
    # Uncompiled, as operations within compiled code are not seen.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        matcher.match(image0, image1)
    operations = counter.get_total_flops()
    networks = [value for value in vars(matcher).values() if isinstance(value, torch.nn.Module)]
    parameters = [p for network in networks for p in network.parameters()]
    moved = sum(p.numel() * p.element_size() for p in parameters) + image0.nbytes + image1.nbytes
    fastest = max(machine["float32_flops_per_s"], machine["mixed_precision_flops_per_s"])
    return {
        "gflop_per_pair": operations / 1e9,
        "parameters_millions": sum(p.numel() for p in parameters) / 1e6,
        "least_megabytes_per_pair": moved / 1e6,
        "floor_s_per_pair": max(operations / fastest, moved / machine["bytes_per_s"]),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time every matcher, number of keypoints and batch size in turns; return the figures."""
    device = torch.device(arguments.device)
    machine = rates(device)
    images0, images1 = pairs(max(arguments.batches))
    figures: dict[str, Any] = {"rates": machine}
    runs: dict[tuple[str, int], Callable[[], Any]] = {}
    for name in arguments.matchers:
        for keypoints in arguments.keypoints:
            label = f"{name}, {keypoints} keypoints"
            try:
                matcher = load_matcher(name, arguments.device, num_keypoints=keypoints)
            except MatcherError as reason:
                figures[label] = {"not_measured": str(reason)}
                continue
            found = matcher.match(images0[0], images1[0])
            figures[label] = {"matches": len(found), **floor(matcher, images0[0], images1[0], machine)}
            for batch in arguments.batches:
                runs[label, batch] = lambda m=matcher, b=batch: m.match_batch(images0[:b], images1[:b])
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for turn in range(arguments.rounds + 1):
        for key, work in runs.items():
            taken = seconds(work, device)
            if turn:  # the first round warms up
                times[key].append(taken)
    for (label, batch), taken in times.items():
        figures[label].setdefault("pairs_per_s", {})[str(batch)] = batch / statistics.median(taken)
    for entry in figures.values():
        if "pairs_per_s" in entry:
            best = max(entry["pairs_per_s"].values())
            entry |= {"best_pairs_per_s": best, "share_of_floor": best * entry["floor_s_per_pair"]}
    return figures


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--matchers", nargs="+", default=MATCHERS)
    parser.add_argument("--keypoints", nargs="+", type=int, default=[2048, 1024])
    parser.add_argument("--batches", nargs="+", type=int, help="default: 1 4 on the CPU, 1 8 32 on CUDA")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arguments.batches = arguments.batches or ([1, 8, 32] if arguments.device.startswith("cuda") else [1, 4])
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    workload = {
        "images": f"{SIZE} x {SIZE} RGB, {max(arguments.batches)} pairs",
        "device": arguments.device,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "torch": torch.__version__,
    }
    report("matching", workload, measure(arguments), as_json=arguments.json)


if __name__ == "__main__":
    main()
