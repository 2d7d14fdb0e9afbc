"""The procedural world: seamless, seeded, and with the layers of the country it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cartography.frame import Frame
from cartography.labels import render_labels
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LANDSCAPES
from cartography.scene import LAYERS, Scene, geometries
from cartography.styles import named

pytestmark = pytest.mark.unit

FINGERPRINT = """
import hashlib, sys, cv2, shapely
from cartography.procedural import SyntheticScene
from cartography.scene import geometries
from cartography.training_scene import sample_pair
seed, threads = map(int, sys.argv[1:])
cv2.setNumThreads(threads)
scene = SyntheticScene(seed, "mixed").window((0, 0, 300, 250))
digest = hashlib.sha256()
for name, features in scene.layers():
    digest.update(b"".join(shapely.to_wkb(geometries(features)).tolist()))
    digest.update(repr([[getattr(f, a) for a in f.__slots__[1:]] for f in features]).encode())
pair = sample_pair(seed, size=96)
for raster in (pair.map, pair.visible, pair.map_labels, pair.labels):
    digest.update(raster.tobytes())
print(digest.hexdigest())
"""


def _keys(scene: Scene, layer: str) -> list[int]:
    return [feature.key for feature in getattr(scene, layer)]


@settings(max_examples=3, deadline=None)
@example(landscape="city", left=15336.0, bottom=23086.0, dx=19.0, dy=0.0)  # the bank of a river of the next cell
@given(
    landscape=st.sampled_from(LANDSCAPES),
    left=st.floats(-3e4, 3e4),
    bottom=st.floats(-3e4, 3e4),
    dx=st.floats(-150, 150),
    dy=st.floats(-150, 150),
)
def test_overlapping_windows_show_the_same_features_in_the_same_order(
    landscape: str, left: float, bottom: float, dx: float, dy: float
) -> None:
    first = SyntheticScene(11, landscape).window((left, bottom, left + 300, bottom + 250))  # type: ignore[arg-type]
    second = SyntheticScene(11, landscape).window((left + dx, bottom + dy, left + dx + 300, bottom + dy + 250))  # type: ignore[arg-type]
    overlap = (max(0, dx) + left, max(0, dy) + bottom, min(0, dx) + left + 300, min(0, dy) + bottom + 250)
    one, other = first.window(overlap), second.window(overlap)
    for name in LAYERS:
        assert _keys(one, name) == _keys(other, name)
        same = zip(geometries(getattr(one, name)), geometries(getattr(other, name)), strict=True)
        assert all(a.equals_exact(b, 0) for a, b in same)


@pytest.mark.parametrize("landscape", ["coast"])
def test_shifted_frames_draw_the_same_pixels_where_they_overlap(landscape: str) -> None:
    """Frames that share the grid of chunks: the map and the labels do not know which frame they belong to."""
    frame = Frame(1000.0, 3000.0, 0.5, 1024, 512)
    shifted = frame.block(512, 0, 1024, 512)
    for render in (render_labels, lambda world, f: render_map(world, f, named("osm-carto"))):
        one = render(SyntheticScene(5, landscape), frame)  # type: ignore[arg-type]
        other = render(SyntheticScene(5, landscape), shifted)  # type: ignore[arg-type]
        assert np.array_equal(one[:, 512:], other[:, :512])


def test_the_same_seed_gives_the_same_bytes_in_every_process_and_another_seed_others() -> None:
    def run(seed: str, hash_seed: str, threads: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", FINGERPRINT, seed, threads]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run("3", "1", "1") == run("3", "77", "4")
    assert run("3", "1", "1") != run("4", "1", "1")


EXPECTED = {
    "city": ("buildings", "roads", "areas", "trees", "pois"),
    "town": ("buildings", "roads", "areas", "trees", "pois"),
    "village": ("buildings", "roads", "areas", "contours"),
    "farmland": ("roads", "areas", "contours"),
    "forest": ("roads", "areas", "contours"),
    "coast": ("buildings", "roads", "areas"),
    "mountain": ("areas", "contours", "waterways"),
}
PREVAILING = {"farmland": "farmland", "forest": "forest", "coast": "water"}


@pytest.mark.parametrize("landscape", sorted(EXPECTED))
def test_each_kind_of_country_has_its_layers(landscape: str) -> None:
    scene = SyntheticScene(21, landscape).window((0, 0, 800, 800))  # type: ignore[arg-type]
    for layer in EXPECTED[landscape]:
        assert getattr(scene, layer), f"{landscape} has no {layer}"
    if landscape in PREVAILING:
        assert any(area.kind == PREVAILING[landscape] for area in scene.areas)
    assert all(building.height > 0 and building.geometry.is_valid for building in scene.buildings)


def test_countries_differ_as_their_names_say() -> None:
    def share(landscape: str, layer: str) -> float:
        scene = SyntheticScene(21, landscape).window((0, 0, 500, 500))  # type: ignore[arg-type]
        return float(sum(f.geometry.area for f in getattr(scene, layer)))

    built = [share(name, "buildings") for name in ("city", "town", "farmland")]
    assert all(more > less for more, less in pairwise(built))
    relief = [SyntheticScene(21, name).landscape.relief for name in ("mountain", "village", "city")]  # type: ignore[arg-type]
    assert relief == sorted(relief, reverse=True)
