"""The numerical parts of MapGlue against slow, obvious implementations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from matcher.errors import WeightsError
from matcher.mapglue.anms import strongest_points, suppress, suppression_radius
from matcher.mapglue.assignment import log_assignment, mutual_matches
from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.encoding import EncodedImage, structure_descriptor
from matcher.mapglue.extractor import Features, Keypoints
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.layers import RotaryPositions, rotate
from matcher.mapglue.local import correlation_volume, displacements, shifted_products, structure_similarities, vertex
from matcher.mapglue.model import GraphInput, MapGlue
from matcher.mapglue.saliency import box_mean, sobel_magnitude

pytestmark = pytest.mark.unit


def test_suppression_keeps_what_a_loop_over_pixels_keeps() -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.rand(1, 1, 24, 31, generator=generator)
    radius = suppression_radius(torch.rand(1, 1, 24, 31, generator=generator))
    kept = suppress(score, radius)[0, 0]
    for y in range(24):
        for x in range(31):
            r = int(radius[0, 0, y, x])
            around = score[0, 0, max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1]
            assert kept[y, x] == (score[0, 0, y, x] == around.max())


def test_the_strongest_points_are_those_of_a_sort() -> None:
    score = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(2))
    points, values, real = strongest_points(score, score > 0.5, 7)
    expected = sorted((v for v in score.flatten().tolist() if v > 0.5), reverse=True)[:7]
    assert values[0].tolist() == expected
    assert real.all()
    assert [score[0, 0, int(y), int(x)].item() for x, y in points[0]] == expected


def test_rotary_attention_sees_differences_of_positions_only() -> None:
    torch.manual_seed(3)
    positions = RotaryPositions(8)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def score(a: list[float], b: list[float]) -> float:
        first, second = (positions(torch.tensor([[p]], dtype=torch.float32)) for p in (a, b))
        return float((rotate(query, first) * rotate(key, second)).sum().detach())

    assert score([10, 20], [40, 5]) == pytest.approx(score([110, -80], [140, -95]), abs=1e-4)
    assert score([10, 20], [40, 5]) != pytest.approx(score([10, 20], [90, 5]), abs=1e-3)


def test_rotary_positions_turn_pairs_as_complex_numbers_turn() -> None:
    torch.manual_seed(4)
    positions = RotaryPositions(6)
    x, point = torch.randn(1, 1, 1, 6), torch.tensor([[[13.0, -7.0]]])
    turned = rotate(x, positions(point)).flatten().tolist()
    angles = (positions.frequencies.weight @ (point[0, 0] / RotaryPositions.UNIT)).tolist()
    for d, angle in enumerate(angles):
        number = complex(x[..., d].item(), x[..., d + 3].item()) * complex(math.cos(angle), math.sin(angle))
        assert number.real == pytest.approx(turned[d], abs=1e-5)
        assert number.imag == pytest.approx(turned[d + 3], abs=1e-5)


def test_dual_softmax_is_the_product_of_two_softmaxes_and_matchabilities() -> None:
    generator = np.random.default_rng(5)
    similarity, z0, z1 = generator.normal(size=(3, 4)), generator.normal(size=3), generator.normal(size=4)
    rows = np.exp(similarity) / np.exp(similarity).sum(1, keepdims=True)
    columns = np.exp(similarity) / np.exp(similarity).sum(0, keepdims=True)
    expected = rows * columns / (1 + np.exp(-z0))[:, None] / (1 + np.exp(-z1))[None]
    as_tensor = [torch.from_numpy(x)[None] for x in (similarity, z0[:, None], z1[:, None])]
    masks = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
    found = log_assignment(as_tensor[0], (as_tensor[1], as_tensor[2]), masks).exp()[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_padding_changes_no_assignment() -> None:
    similarity = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(6))
    logits = torch.zeros(1, 5, 1), torch.zeros(1, 6, 1)
    masks = torch.arange(5)[None] < 3, torch.arange(6)[None] < 4
    padded = log_assignment(similarity, logits, masks)
    whole = log_assignment(
        similarity[:, :3, :4], (logits[0][:, :3], logits[1][:, :4]), (masks[0][:, :3], masks[1][:, :4])
    )
    torch.testing.assert_close(padded[:, :3, :4], whole)
    assert (mutual_matches(padded, 0.0)[0][0, 3:] < 0).all()


def test_box_mean_and_sobel_match_loops() -> None:
    image = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(7))
    mean, plain = box_mean(image, 3)[0, 0], image[0, 0].numpy()
    for y in range(7):
        for x in range(9):
            assert mean[y, x].item() == pytest.approx(
                plain[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean(), abs=1e-5
            )
    ramp = torch.arange(8.0).expand(1, 1, 6, 8)
    assert sobel_magnitude(ramp)[0, 0, 3, 4].item() == pytest.approx(1.0)


@pytest.mark.parametrize(("height", "width", "radius"), [(7, 11, 3), (11, 7, 2), (1, 5, 4), (6, 6, 0)])
def test_shifted_products_hold_every_product(height: int, width: int, radius: int) -> None:
    generator = torch.Generator().manual_seed(3)
    grid0, grid1 = torch.randn(2, 5, height, width, generator=generator)
    products = shifted_products(grid0, grid1, radius).unflatten(0, (2 * radius + 1, 2 * radius + 1))
    expected = torch.zeros_like(products)
    for dy, dx, y, x in np.ndindex(expected.shape):
        y1, x1 = y + dy - radius, x + dx - radius
        if 0 <= y1 < height and 0 <= x1 < width:
            expected[dy, dx, y, x] = grid0[:, y, x] @ grid1[:, y1, x1]
    torch.testing.assert_close(products, expected)


def test_similarities_of_structure_are_products_of_structure_descriptors() -> None:
    generator = torch.Generator().manual_seed(9)
    cells0, cells1 = torch.rand(2, 8, 21, 27, generator=generator)
    cells0[:, :, 13:] = 0  # flat around the last columns, where no descriptor is
    found = structure_similarities(cells0, cells1, 2)
    expected = shifted_products(structure_descriptor(cells0), structure_descriptor(cells1), 2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert found[:, :, 20:].abs().max() < 1e-5


def test_the_correlation_volume_is_that_of_whole_descriptors() -> None:
    generator = torch.Generator().manual_seed(11)
    views = []
    for _ in range(2):
        descriptors = torch.nn.functional.normalize(torch.randn(1, 16, 12, 16, generator=generator), dim=1)
        gradients = torch.rand(1, 8, 96, 128, generator=generator)
        features = Features(descriptors, *[torch.empty(0)] * 4, gradients)
        views.append(EncodedImage(features, torch.rand(12, 16, generator=generator) > 0.3))
    volume = correlation_volume(*views, 3)
    real = shifted_products(torch.ones(1, 12, 16), views[1].cells[None].float(), 3) > 0
    expected = shifted_products(views[0].descriptors, views[1].descriptors, 3).masked_fill(~real, -1.0)
    torch.testing.assert_close(volume, expected, atol=1e-5, rtol=0)


def test_products_peak_at_a_shift() -> None:
    generator = torch.Generator().manual_seed(8)
    big = torch.nn.functional.normalize(torch.randn(32, 20, 20, generator=generator), dim=0)
    grid0, grid1 = big[:, 4:14, 4:14], big[:, 6:16, 3:13]  # what is at (x, y) in 0 is at (x + 1, y - 2) in 1
    volume = shifted_products(grid0, grid1, 3)
    moved, margin, inside = displacements(volume, 3)
    assert (moved[4:8, 4:6] - torch.tensor([8.0, -16.0])).abs().max() <= 4
    assert margin[5, 5] > 0.1
    assert inside[5, 5]


def test_the_vertex_is_that_of_the_parabola() -> None:
    peak = torch.tensor(0.3)
    values = [1 - (x - peak) ** 2 for x in (-1.0, 0.0, 1.0)]
    assert vertex(*values).item() == pytest.approx(0.3, abs=1e-6)


TINY = MapGlueConfig("fast-mapglue", stem=(8, 8), width=16, dilations=(1,), descriptor=16, graph_width=16)


def graph_input(points: torch.Tensor, descriptors: torch.Tensor) -> GraphInput:
    mask = torch.ones(points.shape[:2], dtype=torch.bool)
    tokens = torch.zeros(1, TINY.width, 8, 8)
    return GraphInput(Keypoints(points, mask.float(), descriptors, mask), tokens)


@pytest.mark.parametrize("semantic_graph", [True, False])
def test_no_keypoint_matches_beyond_reach(semantic_graph: bool) -> None:
    torch.manual_seed(6)
    network = MapGlue(replace(TINY, semantic_graph=semantic_graph)).eval()
    points0 = torch.tensor([[[20.0, 20], [60, 60], [100, 20]]])
    points1 = torch.tensor([[[100.0, 25], [20, 51], [64, 57]]])  # 80 px, 31 px and 5 px away
    descriptors = torch.eye(16)[None, :3]
    sides = graph_input(points0, descriptors), graph_input(points1, descriptors)
    free, near = (network(*sides, reach).log_probability for reach in (None, 32.0))
    assert mutual_matches(free, 0.0)[0].tolist() == [[0, 1, 2]]  # by the descriptors alone
    assert mutual_matches(near, 0.0)[0].tolist() == [[1, 2, 0]]
    assert (near[0].exp() > 0).tolist() == [[False, True, False], [False, False, True], [True, False, False]]


def test_graphs_of_aligned_pairs_are_refused_where_pairs_are_not_aligned() -> None:
    network = MapGlue(replace(TINY, cross_positions=True)).eval()
    with pytest.raises(WeightsError, match="aligned already"):
        MapGlueMatcher("fast-mapglue", torch.device("cpu"), mode="single-pass", network=network)


@pytest.mark.parametrize("known", [True, False])
def test_attention_across_images_knows_positions_where_they_compare(known: bool) -> None:
    torch.manual_seed(7)
    network = MapGlue(replace(TINY, cross_positions=known)).eval()
    for parameter in network.parameters():  # new layers change nothing
        torch.nn.init.normal_(parameter, std=0.3)
    points, descriptors = 64 * torch.rand(1, 5, 2), torch.randn(1, 5, 16)
    here, there = (
        network.every_layer(graph_input(points, descriptors), graph_input(points + shift, descriptors))[-1][0]
        for shift in (0.0, 40.0)
    )
    assert torch.allclose(here, there, atol=1e-4) is not known
