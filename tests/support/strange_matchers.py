"""Matchers of every character: perfect, random, crashing, hanging, lying. Workers of the benchmark import them."""

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np

from matcher.benchmark.levels import at_level
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.types import Matcher, Matches
from raster.homography import apply_homography
from raster.levels import LEVELS

SPEC = PairSpec(os.environ["BENCHMARK_TEST_PAIRS"], "csv")
CALLS = []


def grid(image):
    y, x = np.mgrid[0 : image.shape[0] : 10, 0 : image.shape[1] : 10]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def matches(points0, points1):
    return Matches(points0, points1.astype(np.float32), np.ones(len(points0), np.float32))


class Identity(Matcher):
    name = "identity"

    def correspond(self, image0, image1):
        print("matchers may print")
        return matches(grid(image0), grid(image0))


class Oracle(Matcher):
    name = "oracle"

    def correspond(self, image0, image1):
        for source in open_pairs(SPEC):
            pair = source.load()
            for level in LEVELS:
                seen = at_level(pair, level)
                if np.array_equal(seen.image0, image0) and np.array_equal(seen.image1, image1):
                    points = apply_homography(seen.homography, grid(image0))
                    return matches(grid(image0), points)
        return Matches.empty()


class Random(Matcher):
    name = "random"

    def correspond(self, image0, image1):
        return matches(np.random.rand(200, 2).astype(np.float32) * 200, np.random.rand(200, 2) * 200)


class Empty(Matcher):
    name = "empty"

    def correspond(self, image0, image1):
        return Matches.empty()


class OnSecond(Matcher):
    # Well-behaved but for the second real pair it sees; the warm-up image is 128 px wide.
    name = "moody"

    def correspond(self, image0, image1):
        if image0.shape[1] != 128:
            marker = Path(os.environ["BENCHMARK_TEST_MARKER"])
            seen = int(marker.read_text() or 0) + 1
            marker.write_text(str(seen))
            if seen == 2:
                return self.misbehave()
        return matches(grid(image0), grid(image0))


class Raising(OnSecond):
    def misbehave(self):
        raise RuntimeError("out of ideas")


class NaN(OnSecond):
    def misbehave(self):
        return Matches(np.full((9, 2), np.nan), np.zeros((9, 2)), np.zeros(9))


class Lying(OnSecond):
    def misbehave(self):
        return 42


class Exiting(OnSecond):
    def misbehave(self):
        print("I am leaving", file=sys.stderr, flush=True)
        os._exit(3)


class Segfault(OnSecond):
    def misbehave(self):
        ctypes.string_at(0)


class Hanging(OnSecond):
    def misbehave(self):
        time.sleep(600)


def sleep(seconds):
    time.sleep(seconds)


class Forking(OnSecond):
    # Hangs with children that hold all that it inherited.
    def misbehave(self):
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(sleep, [600, 600])


def leave():
    # A daemon as the textbooks make it: a session of its own, orphaned at once.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()


class Daemon(OnSecond):
    def misbehave(self):
        leave()
        time.sleep(600)


class DaemonOfTheDead(OnSecond):
    def misbehave(self):
        leave()
        ctypes.string_at(0)


class Session(OnSecond):
    def misbehave(self):
        import subprocess

        subprocess.Popen(["sleep", "600"], start_new_session=True)
        raise RuntimeError("out of ideas")


class KillingItsGroup(OnSecond):
    # As some do to be rid of the children of a pool.
    def misbehave(self):
        leave()
        os.killpg(0, 15)


class ForkingAndDying(OnSecond):
    def misbehave(self):
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)


class Surrogate(OnSecond):
    def misbehave(self):
        raise RuntimeError("half a character: \ud83d")


class Hungry(OnSecond):
    def misbehave(self):
        return np.ones(1 << 31, np.uint8).sum()


class Leaving(OnSecond):
    def misbehave(self):
        sys.exit(0)


class Interrupted(OnSecond):
    def misbehave(self):
        raise KeyboardInterrupt


def pipes():
    import stat

    return [fd for fd in range(3, 40) if os.path.exists(f"/proc/self/fd/{fd}") and stat.S_ISFIFO(os.fstat(fd).st_mode)]


class Chatting(OnSecond):
    # Writes wherever it can, as libraries do that keep a descriptor which was another's before.
    text = b"hello\n"

    def misbehave(self):
        for pipe in pipes():
            os.write(pipe, self.text)
        return matches(np.zeros((9, 2)), np.zeros((9, 2)))


class ChattingInJson(Chatting):
    text = b"[1, 2]\n"


class ChattingForEver(OnSecond):
    def misbehave(self):
        while True:
            for pipe in pipes():
                os.write(pipe, b"x" * 65536)


class Moving(Matcher):
    name = "moving"

    def correspond(self, image0, image1):
        os.chdir("/")
        return matches(grid(image0), grid(image0))


class Scribbling(Matcher):
    name = "scribbling"

    def correspond(self, image0, image1):
        assert image0.std() > 1, "the image was spoilt before"
        image0[:], image1[:] = 0, 0
        return matches(grid(image0), grid(image0))


class DyingInWarmUp(Matcher):
    name = "dying"

    def correspond(self, image0, image1):
        ctypes.string_at(0)


class Unloadable(Matcher):
    name = "unloadable"
    correspond = Identity.correspond

    def __init__(self):
        raise OSError("no such weights")
