"""The feature map network: its grid, its masks, its loss against known answers, and the dense matcher on it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawings import drawing, tensor

from matcher.dense.feature_map import ENERGY_FLOOR, STRIDE, FeatureMapNetwork
from matcher.dense.hypotheses import MaskedImage
from matcher.dense.matcher import FINAL_STEPS, FOLLOWING_STEPS, STEPS, DenseMatcher, data_mask
from matcher.errors import WeightsError
from matcher.mapglue.weights import load_feature_map, load_model, save_weights
from matcher.training.feature_map_loss import feature_map_losses, surface_losses
from raster.homography import apply_homography

pytestmark = pytest.mark.unit


@pytest.fixture
def untrained() -> FeatureMapNetwork:
    torch.manual_seed(0)
    return FeatureMapNetwork().eval()


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1], dtype=torch.bool)


@torch.no_grad()
def test_its_pixels_lie_where_it_says(untrained: FeatureMapNetwork) -> None:
    """Mirrored images have mirrored fields on a grid whose pixels lie at 2 x + 0.5: about the middle, on even sides."""
    image = torch.zeros(1, 3, 96, 128)
    image[..., 40:42, 70:72] = 1  # about (70.5, 40.5), field pixel (35, 20)
    energy = untrained(image, everywhere(image))[0, :4].square().sum(0)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    centre = [float((axis * energy).sum() / energy.sum()) for axis in (x, y)]
    assert centre == pytest.approx([35, 20], abs=0.05)


@torch.no_grad()
def test_any_size_is_taken_and_what_is_masked_is_zero_and_unseen(untrained: FeatureMapNetwork) -> None:
    image = tensor(drawing(1, 99, 131))
    mask = everywhere(image)
    mask[..., 60:] = False
    field = untrained(image, mask)
    assert field.shape == (1, 16, 49, 65)
    assert field[..., 30:].abs().max() == 0
    spoilt = image.clone()
    spoilt[..., 70:] = torch.rand(spoilt[..., 70:].shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(untrained(spoilt, mask)[..., :28], field[..., :28], atol=1e-4, rtol=1e-4)


def test_the_dense_matcher_follows_a_pose_on_it(untrained: FeatureMapNetwork) -> None:
    image = drawing(8)
    truth = np.array([[0.98, -0.12, 20.0], [0.12, 0.98, -14.0], [4e-5, -3e-5, 1]])
    moved = cv2.warpPerspective(image, truth, (320, 256))
    views = [MaskedImage(side, data_mask(side), torch.device("cpu")) for side in (image, moved)]
    rough = truth @ np.array([[1.02, 0.02, 3.0], [-0.02, 1.02, -4.0], [0, 0, 1]])
    matcher = DenseMatcher("cpu", untrained, ENERGY_FLOOR)
    corners = np.array([[40.0, 60], [250, 60], [250, 200], [40, 200]])
    for steps in (STEPS, (*FOLLOWING_STEPS, *FINAL_STEPS)):
        found, _ = matcher.refine(*views, rough, steps)
        assert np.abs(apply_homography(found, corners) - apply_homography(truth, corners)).max() < 1


def test_feature_maps_of_image_1_are_computed_once(untrained: FeatureMapNetwork) -> None:
    calls: list[tuple[int, ...]] = []

    def counted(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(tensor.shape))
        return untrained(tensor, mask)

    view = MaskedImage(drawing(8), np.ones(drawing(8).shape[:2], bool), torch.device("cpu"))
    matcher = DenseMatcher("cpu", counted, ENERGY_FLOOR)
    reference = matcher.reference(view)
    for _ in range(2):
        matcher.follow(view, reference, np.eye(3), FOLLOWING_STEPS)
    assert len(calls) == 1 + 6  # image 1 once, image 0 at every step


def test_surfaces_that_peak_at_the_truth_cost_little_and_flat_ones_what_chance_costs() -> None:
    shifts = torch.tensor([[2.0, -3.0], [0.5, 0.0]])
    surfaces = torch.zeros(2, 15, 15)
    assert float(surface_losses(surfaces, shifts, torch.tensor(1.0))[0]) == pytest.approx(np.log(225), rel=1e-5)
    surfaces[0, 4, 9] = 1
    surfaces[1, 7, 7:9] = 1
    loss, accuracy = surface_losses(surfaces, shifts, torch.tensor(100.0))
    assert float(loss) == pytest.approx(np.log(2) / 2, rel=1e-4)  # half a pixel is shared by two places
    assert float(accuracy) == 1


def test_windows_that_leave_the_search_or_the_data_do_not_count() -> None:
    fields = torch.randn(2, 4, 128, 128, generator=torch.Generator().manual_seed(0))
    fields[1] = fields[0].roll((2, 3), (1, 2))
    masks = torch.ones(2, 1, 256, 256, dtype=torch.bool)
    shift = torch.eye(3)[None].clone()
    shift[0, :2, 2] = torch.tensor([6.0, 4.0])  # pixels of the image: 3 and 2 of the field
    temperatures = torch.tensor(50.0), torch.tensor(500.0)
    found = feature_map_losses(fields, masks, shift, *temperatures)
    assert float(found.accuracy) == float(found.right) == 1
    assert float(found.window) < 0.01
    assert float(found.homography) < 0.1
    shift[0, 0, 2] = 2 * STRIDE * 7
    assert float(feature_map_losses(fields, masks, shift, *temperatures).window) == 0
    shift[0, 0, 2] = 6
    assert float(feature_map_losses(fields, masks & False, shift, *temperatures).window) == 0


def test_saved_weights_load(tmp_path: Path, untrained: FeatureMapNetwork) -> None:
    save_weights(tmp_path / "w.safetensors", untrained, {})
    for name, value in load_feature_map(tmp_path / "w.safetensors").named_parameters():
        assert torch.equal(value, untrained.get_parameter(name).half().float()), name
    with pytest.raises(WeightsError, match="holds weights of 'feature-map', not of 'mapglue'"):
        load_model("mapglue", tmp_path / "w.safetensors")
