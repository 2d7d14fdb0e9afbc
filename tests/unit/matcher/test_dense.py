"""The dense matcher's pieces against slow, obvious implementations, and the whole on pairs of known homography."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawings import drawing, tensor

from matcher.dense.correlation import correlate, find_peak
from matcher.dense.harmonics import box_mean, orientation_harmonics, turn_harmonics
from matcher.dense.hypotheses import MaskedImage, search_similarities
from matcher.dense.matcher import DenseMatcher, RefinementStep, data_mask
from matcher.dense.pooling import COMPLEXITY_PENALTY, pool_surfaces
from matcher.dense.windows import correlation_surfaces, match_windows, window_grid
from raster.fit import fit
from raster.homography import apply_homography

pytestmark = pytest.mark.unit


def test_correlation_equals_the_sum_over_every_shift() -> None:
    generator = torch.Generator().manual_seed(1)
    template = torch.randn(2, 4, 9, 7, generator=generator)
    search = torch.randn(2, 4, 15, 18, generator=generator)
    search[1, :, :, :9] = 0
    surface = correlate(template, search)
    assert surface.shape == (2, 7, 12)
    for b in range(2):
        for y in range(7):
            for x in range(12):
                part = search[b, :, y : y + 9, x : x + 7]
                expected = (template[b] * part).sum() / (template[b].norm() * part.norm() + 1e-30)
                assert surface[b, y, x] == pytest.approx(float(expected), abs=2e-5)


def test_a_floor_of_energy_silences_faint_windows() -> None:
    template = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    template[1] *= 0.1
    plain, floored = correlate(template, template), correlate(template, template, floor=0.4)
    assert plain.flatten().tolist() == pytest.approx([1, 1], abs=1e-5)
    energy = template.square().sum((1, 2, 3))
    assert floored.flatten().tolist() == pytest.approx((energy / (energy + 0.4 * 64)).tolist(), abs=1e-5)


def test_correlation_of_nothing_is_zero() -> None:
    assert correlate(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 16, 16)).abs().max() == 0


def test_peak_of_a_paraboloid_is_exact_and_its_margin_is_the_rival_beyond_the_exclusion() -> None:
    y, x = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    surface = 1 - 0.01 * ((x - 12.3) ** 2 + (y - 17.8) ** 2)
    peak = find_peak(surface[None], exclusion=4)
    assert peak.place[0].tolist() == pytest.approx([12.3, 17.8], abs=1e-3)
    rivals = [float(surface[i, j]) for i in range(31) for j in range(31) if max(abs(i - 18), abs(j - 12)) > 4]
    assert float(peak.margin[0]) == pytest.approx(float(surface.max()) - max(rivals), abs=1e-6)


def test_peak_on_the_border_stays_whole() -> None:
    surface = torch.zeros(1, 5, 5)
    surface[0, 0, 4] = 1
    assert find_peak(surface).place[0].tolist() == [4, 0]


def test_box_mean_equals_the_mean_of_the_padded_neighbourhood() -> None:
    values = torch.rand(1, 1, 12, 10, generator=torch.Generator().manual_seed(2))
    padded = np.pad(values[0, 0].numpy(), 2, mode="edge")
    expected = [[padded[y : y + 5, x : x + 5].mean() for x in range(10)] for y in range(12)]
    np.testing.assert_allclose(box_mean(values, 5)[0, 0].numpy(), expected, rtol=1e-5)


def test_harmonics_of_a_turned_image_are_the_turned_harmonics() -> None:
    image = drawing(3, 128, 128)
    field = orientation_harmonics(tensor(image))
    turned = orientation_harmonics(tensor(np.ascontiguousarray(np.rot90(image, -1))))  # clockwise: x towards y
    expected = turn_harmonics(torch.rot90(field, -1, (2, 3)), torch.tensor([np.pi / 2]))
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=1e-4)


def test_harmonics_do_not_see_whether_an_edge_rises_or_falls_nor_what_is_masked() -> None:
    image = drawing(4, 96, 96)
    torch.testing.assert_close(
        orientation_harmonics(tensor(image)), orientation_harmonics(tensor(255 - image)), atol=1e-4, rtol=1e-4
    )
    mask = np.ones((96, 96), bool)
    mask[:, :40] = False
    spoilt = image.copy()
    spoilt[:, :40] = np.random.default_rng(0).integers(0, 255, (96, 40, 3))
    masks = torch.from_numpy(mask)[None, None]
    torch.testing.assert_close(
        orientation_harmonics(tensor(image), masks), orientation_harmonics(tensor(spoilt), masks)
    )


def test_pose_search_finds_rotation_scale_and_shift() -> None:
    image = drawing(5)
    angle, scale = np.deg2rad(40), 0.8
    matrix = np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), 90],
            [scale * np.sin(angle), scale * np.cos(angle), -20],
            [0, 0, 1],
        ]
    )
    moved = cv2.warpPerspective(image, matrix, (320, 256))
    views = [MaskedImage(side, data_mask(side), torch.device("cpu")) for side in (image, moved)]
    best = search_similarities(*views, np.deg2rad(np.arange(0, 360, 10.0)), (0.64, 0.8, 1.0, 1.25), 128)[0]
    assert np.rad2deg(best.angle) == pytest.approx(40)
    assert best.scale == 0.8
    corners = np.array([[60.0, 60], [250, 60], [250, 190], [60, 190]])
    assert np.abs(apply_homography(best.matrix, corners) - apply_homography(matrix, corners)).max() < 4


def test_windows_find_a_sub_pixel_shift_and_come_back() -> None:
    image = drawing(6)
    moved = cv2.warpPerspective(
        image, np.array([[1, 0, 3.4], [0, 1, -2.7], [0, 0, 1.0]]), (320, 256), borderMode=cv2.BORDER_REFLECT
    )
    fields = [orientation_harmonics(tensor(side))[0] for side in (image, moved)]
    found = match_windows(*fields, window_grid(256, 320, 96, 48), 96, 8, min_margin=0.0)
    inner = np.abs(found.centres - [160, 128]).max(axis=1) < 90
    np.testing.assert_allclose(np.median(found.shifts[inner], axis=0), [3.4, -2.7], atol=0.15)
    assert np.median(found.forward_backward[inner]) < 0.3


def test_pooled_surfaces_find_what_single_windows_do_not() -> None:
    generator = np.random.default_rng(7)
    centres = generator.uniform(0, 400, (60, 2))
    matrix = np.array([[1.01, -0.015, 3.0], [0.015, 1.01, -6.0], [0, 0, 1]])
    shifts = apply_homography(matrix, centres) - centres
    y, x = np.mgrid[-20:21, -20:21]
    surfaces = generator.normal(0, 0.1, (60, 41, 41))
    for surface, (dx, dy) in zip(surfaces, shifts, strict=True):
        surface += 0.3 * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 8)
        surface[tuple(generator.integers(0, 41, 2))] += 1.0  # the highest peak of every window is wrong
    found, _ = pool_surfaces(torch.from_numpy(surfaces)[None], torch.from_numpy(centres))
    assert np.abs(apply_homography(found[0].numpy(), centres) - apply_homography(matrix, centres)).max() < 0.5


def test_degrees_of_freedom_are_used_as_far_as_their_penalty_allows() -> None:
    centres = np.stack(np.meshgrid(np.arange(0, 401, 50.0), np.arange(0, 401, 50.0)), axis=-1).reshape(-1, 2)
    tilt = np.array([[1, 0, 0], [0, 1, 0], [1e-4, 0, 1]])
    y, x = np.mgrid[-20:21, -20:21]
    shifts = apply_homography(tilt, centres) - centres
    surfaces = np.stack([np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 50) for dx, dy in shifts])

    def followed(penalty: float) -> float:
        given = torch.from_numpy(surfaces)[None], torch.from_numpy(centres)
        found, _ = pool_surfaces(*given, ("similarity", "homography"), penalty)
        return float(found[0, 2, 0]) / 1e-4

    assert followed(0.0) == pytest.approx(1, abs=0.02)
    assert followed(10.0) < 0.5 * followed(1.0) < 0.5 * followed(0.1)


def test_the_complexity_penalty_is_lower_in_larger_images() -> None:
    step = RefinementStep(1.0, 0.25, 0.05, ("homography",), full_penalty_px=100.0 * 200)
    small, large = (
        MaskedImage(drawing(8, *size), np.ones(size, bool), torch.device("cpu")) for size in ((100, 150), (200, 300))
    )
    assert step.penalty(small) == COMPLEXITY_PENALTY
    assert step.penalty(large) == pytest.approx(COMPLEXITY_PENALTY / 3)
    assert replace(step, full_penalty_px=math.inf).penalty(large) == COMPLEXITY_PENALTY


def test_windows_cover_an_image_smaller_than_one() -> None:
    corners = window_grid(50, 200, 64, 32)
    assert corners[:, 1].max() == 0
    assert corners[:, 0].min() == 0
    assert corners[:, 0].max() == 200 - 64
    field = orientation_harmonics(tensor(drawing(8, 64, 64)))[0]
    assert correlation_surfaces(field, field, np.array([[0, 0]]), 64, 4)[0].argmax() == 4 * 9 + 4


def test_a_saturated_field_hardly_prefers_strong_edges_to_faint_ones() -> None:
    image = np.full((128, 128, 3), 240, np.uint8)
    image[:, 32:] -= 4
    image[:, 96:] -= 200

    def preference(saturated: bool) -> float:
        strength = orientation_harmonics(tensor(image), saturated=saturated)[0].norm(dim=0)[64]
        return float(strength[90:102].max() / strength[26:38].max())

    assert preference(False) > 3
    assert preference(True) < 0.5 * preference(False)


def test_match_recovers_a_turned_and_inverted_image() -> None:
    image = drawing(9)
    angle = np.deg2rad(133)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * 0.85
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = np.array([160, 128]) - turn @ [160, 128] + [7, -5]
    moved = 255 - cv2.warpPerspective(image, matrix, (320, 256), borderMode=cv2.BORDER_REFLECT)
    matches = DenseMatcher().match(image, moved)
    fitted = fit(matches.points0, matches.points1)
    assert fitted.matrix is not None
    points = np.array([[100.0, 80], [220, 80], [220, 180], [100, 180]])
    assert np.abs(apply_homography(fitted.matrix, points) - apply_homography(matrix, points)).max() < 1.5
    again = DenseMatcher().match(image, moved)
    assert np.array_equal(matches.points1, again.points1)


def test_images_without_structure_have_no_matches_to_speak_of() -> None:
    flat = np.full((128, 128, 3), 200, np.uint8)
    assert len(DenseMatcher().match(flat, flat)) == 0
    assert len(DenseMatcher().match(np.zeros_like(flat), drawing(1, 128, 128))) == 0
