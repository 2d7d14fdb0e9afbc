"""The label raster and the training pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from cartography.frame import Frame
from cartography.labels import BARE, BUILDING, CLASSES, RAIL, ROAD, VEGETATION, WATER, render_labels
from cartography.misregistration import project
from cartography.procedural import SyntheticScene
from cartography.scene import Area, Building, Rail, Road, Scene, Waterway
from cartography.storage import SceneFileError, load_scene, save_scene
from cartography.training_scene import PairSampler, TransformationRange, sample_pair

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 100.0, 1.0, 100, 100)


def _scene() -> Scene:
    return Scene(
        FRAME.bounds,
        ground="residential",
        areas=(
            Area(shapely.box(0, 0, 40, 40), "forest", 1),
            Area(shapely.box(10, 10, 20, 20), "water", 2),
            Area(shapely.box(60, 0, 100, 30), "parking", 3),
        ),
        buildings=(Building(shapely.box(60, 60, 80, 80), "house", 8, "gabled", 4),),
        roads=(
            Road(LineString([(0, 50), (100, 50)]), "primary", 10, 5),
            Road(LineString([(0, 90), (100, 90)]), "primary", 10, 6, tunnel=True),
        ),
        rails=(Rail(LineString([(50, 0), (50, 100)]), "rail", 1, 7),),
        waterways=(
            Waterway(LineString([(90, 0), (90, 100)]), "river", 8, 8),
            Waterway(LineString([(5, 60), (5, 100)]), "ditch", 2, 9),
        ),
    )


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (30, 30, VEGETATION),
        (15, 15, WATER),
        (75, 15, BARE),
        (30, 75, BARE),
        (70, 70, BUILDING),
        (20, 50, ROAD),
        (90, 50, ROAD),
        (50, 50, RAIL),
        (50, 20, RAIL),
        (90, 20, WATER),
        (5, 80, BARE),
        (30, 90, BARE),
    ],
)
def test_every_point_has_the_class_of_what_lies_on_top(x: float, y: float, expected: int) -> None:
    labels = render_labels(_scene(), FRAME)
    column, row = np.rint(FRAME.to_pixels(np.array([[x, y]]))[0]).astype(int)
    assert CLASSES[labels[row, column]] == CLASSES[expected]


def test_the_classes_cover_as_much_as_the_shapes_do() -> None:
    labels = render_labels(_scene(), FRAME)
    assert labels.shape == (100, 100)
    assert labels.dtype == np.uint8
    assert abs(int((labels == BUILDING).sum()) - 400) <= 41
    assert abs(int((labels == ROAD).sum()) - 10 * (100 - 4.2)) <= 110


def test_blocks_of_labels_are_the_whole() -> None:
    world, frame = SyntheticScene(3, "mixed"), Frame(0, 0, 1.5, 600, 550)
    whole = render_labels(world, frame)
    assert np.array_equal(render_labels(world, frame, (490, 500, 60, 50)), whole[500:550, 490:550])


def test_an_empty_scene_is_its_ground() -> None:
    assert (render_labels(Scene(FRAME.bounds, ground="grass"), FRAME) == VEGETATION).all()


@pytest.mark.parametrize("seed", [0, 1, 50])
def test_a_pair_has_the_stated_shapes_and_relation(seed: int) -> None:
    pair = sample_pair(seed, size=192, gsd=0.7)
    for image in (pair.map, pair.visible):
        assert image.shape == (192, 192, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
    for labels in (pair.map_labels, pair.labels):
        assert labels.shape == (192, 192)
        assert labels.dtype == np.uint8
        assert labels.max() < len(CLASSES)
    assert pair.homography.shape == (3, 3)
    assert pair.homography.dtype == np.float64
    flow = pair.flow()
    assert flow.shape == (192, 192, 2)
    assert flow.dtype == np.float32
    # The homography is exact up to the local warp, whose standard deviation is a pixel at most.
    rows, columns = np.indices((192, 192))
    straight = project(pair.homography, np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(float))
    assert np.abs(flow.reshape(-1, 2) - straight).max() < 6


def test_the_labels_of_the_map_are_those_of_the_image_moved() -> None:
    """Measured on the rasters alone: classes agree through the flow far better than without it."""
    limits = TransformationRange(rotation_deg=12, scale=1.1, shift=0.05, perspective=5e-5, warp_px=1.0, feature_px=0.0)
    pair = sample_pair(3, size=256, gsd=0.6, transformation=limits)
    at = np.rint(pair.flow()).astype(int)
    inside = ((at >= 0) & (at < 256)).all(axis=2)
    there = pair.labels[at[..., 1].clip(0, 255), at[..., 0].clip(0, 255)]
    disagreement = 1 - (there == pair.map_labels)[inside].mean()
    assert disagreement < 0.03
    assert disagreement < (pair.labels != pair.map_labels).mean() / 5


def test_a_seed_is_a_pair_and_another_seed_another() -> None:
    first, again, other = (sample_pair(seed, size=128) for seed in (7, 7, 8))
    for name in ("map", "visible", "labels", "map_labels"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert first.style == again.style
    assert not np.array_equal(first.visible, other.visible)


def test_extracts_are_drawn_from_and_survive_storage(tmp_path: Path) -> None:
    scene = SyntheticScene(4, "town").window((0, 0, 600, 600))
    save_scene(scene, tmp_path / "town.npz")
    stored = load_scene(tmp_path / "town.npz")
    assert [len(features) for _, features in stored.layers()] == [len(features) for _, features in scene.layers()]
    assert stored.bounds == scene.bounds
    for ours, theirs in zip(scene.buildings, stored.buildings, strict=True):
        assert (ours.key, ours.kind, ours.height, ours.roof) == (theirs.key, theirs.kind, theirs.height, theirs.roof)
        assert ours.geometry.hausdorff_distance(theirs.geometry) < 0.01
    pair = PairSampler(size=128, gsds=(1.0,), osm=(stored,), osm_share=1.0).sample(5)
    assert (pair.labels == BUILDING).any() or (pair.labels == ROAD).any()


def test_files_that_are_no_scenes_and_scenes_without_content_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"not an archive")
    with pytest.raises(SceneFileError, match=r"broken\.npz"):
        load_scene(broken)
    with pytest.raises(SceneFileError):
        load_scene(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="needs buildings, roads or areas"):
        PairSampler(size=64, osm=(Scene((0, 0, 9, 9)),), osm_share=1.0).sample(1)
