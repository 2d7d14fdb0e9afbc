"""The process in which a matcher runs: it may crash or hang without harming the benchmark.

Run as `python -m matcher.benchmark.worker SETTINGS` (JSON) by `matcher.benchmark.isolation`. Answers one JSON line when
the matcher is loaded, then reads jobs `{"index": n, "level": name}` and answers each with one line.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import score_fit, score_pair
from matcher.benchmark.pairs import ImagePair
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.benchmark.rows import FAILED, make_row
from matcher.errors import MatcherError
from matcher.registry import load_matcher
from matcher.types import Matcher, Matches
from raster.fit import fit
from raster.levels import LEVELS, Level, Levels

WARM_UP_PX = 128


def run_pair(matcher: Matcher, pair: ImagePair, level: str, levels: Mapping[str, Level]) -> dict[str, Any]:
    """Match one pair at one level.

    Args:
        matcher: The matcher.
        pair: The pair.
        level: Name of the level.
        levels: Levels by name.

    Returns:
        The row, without `load_s` and `wall_s`. What the matcher raises is a row too.
    """
    started = time.perf_counter()
    seen = at_level(pair, level, levels)
    images = seen.image0.copy(), seen.image1.copy()  # a matcher may write into its images: the next level needs them
    warped = time.perf_counter()
    identity = {"level": level, "pair": pair.name}
    height, width = seen.image0.shape[:2]
    facts = {"truth": seen.homography.ravel().tolist(), "width": width, "height": height, "name": _name(matcher)}
    _seed(f"{level}/{pair.name}")
    try:
        matches = matcher.match(*images)
        if not isinstance(matches, Matches):
            raise MatcherError(f"returned a {type(matches).__name__}, not Matches")
    except Exception as error:  # a third party's matcher may raise anything; the benchmark goes on
        times = {"warp_s": warped - started, "match_s": time.perf_counter() - warped}
        return make_row(identity, "error", f"{type(error).__name__}: {error}"[:500], FAILED, **facts, **times)
    matched = time.perf_counter()
    fitted = fit(matches.points0, matches.points1)
    fit_s = time.perf_counter() - matched
    score = score_fit(matches, fitted, seen)
    scored = time.perf_counter()
    ransac = score_pair(matches, seen, estimator="ransac")
    return make_row(
        identity,
        "no model" if fitted.matrix is None else "matched",
        fitted.reason,
        score,
        corner_error_ransac_px=ransac.corner_error_px,
        estimate=None if fitted.matrix is None else fitted.matrix.ravel().tolist(),
        warp_s=warped - started,
        match_s=matched - warped,
        fit_s=fit_s,
        fit_ransac_s=time.perf_counter() - scored,
        **facts,
    )


def _name(matcher: Matcher) -> str:
    """Return what a matcher calls itself; a third party's may call itself anything."""
    name = getattr(matcher, "name", "")
    return name.encode(errors="backslashreplace").decode()[:80] if isinstance(name, str) else ""


def main() -> None:
    """Serve jobs until the other side hangs up."""
    # Matchers may print. What they print goes to standard error; answers have a separate channel.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    jobs: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    settings = json.loads(sys.argv[1])
    if settings["memory_mib"] is not None:
        limit = settings["memory_mib"] << 20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    levels = Levels.model_validate(settings["levels"]).levels
    try:
        spec = PairSpec(**settings["pairs"])
        pairs = open_pairs(replace(spec, path=os.path.abspath(spec.path)))  # a matcher may change the folder
        matcher = load_matcher(settings["matcher"], settings["device"])
    except Exception as error:
        answer({"unavailable": f"{type(error).__name__}: {error}"})
        return
    _set_threads(settings["threads"])
    # The first match is slow; a failure of it is none of the benchmark's.
    noise = np.random.default_rng(0).integers(0, 256, (2, WARM_UP_PX, WARM_UP_PX, 3), dtype=np.uint8)
    run_pair(matcher, ImagePair("warm-up", noise[0], noise[1], np.eye(3)), "aligned", LEVELS)
    answer({"ready": True})
    latest: tuple[int, ImagePair] | None = None
    while True:
        job = json.loads(jobs.get())
        started = time.perf_counter()
        try:
            # The levels of one pair follow each other: it is read once.
            pair = latest[1] if latest and latest[0] == job["index"] else pairs[job["index"]].load()
        except MatcherError as error:
            answer({"broken": str(error)})
            continue
        latest = job["index"], pair
        load_s = time.perf_counter() - started
        answer(run_pair(matcher, pair, job["level"], levels) | {"load_s": load_s})


def _listen(jobs: SimpleQueue[str]) -> None:
    """Queue jobs; when the parent process has ended, end this one and its children, even while a matcher hangs."""
    for line in sys.stdin:
        jobs.put(line)
    if os.getpgrp() == os.getpid():  # as `isolation` starts it
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(0)


def _set_threads(count: int) -> None:
    cv2.setNumThreads(count)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)


def _seed(name: str) -> None:
    number = zlib.crc32(name.encode())
    np.random.seed(number)
    cv2.setRNGSeed(number & 0x7FFFFFFF)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(number)


if __name__ == "__main__":
    main()
