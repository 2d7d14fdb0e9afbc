"""Orientation harmonics: the gradient orientations that a map and an image share, as four numbers a pixel.

CFOG (Ye et al., 2019) describes a pixel by the responses |cos(theta - k pi / 9)| of its gradient to nine orientations.
As a function of the orientation that is a Fourier series of even harmonics whose first two terms beyond the constant
carry nearly all of it, so two complex numbers hold what nine channels hold, and the correlation of two images, which
integrates over orientations anyway, needs four real transforms instead of nine. As the constant is left out, the
harmonics of unrelated edges cancel, and no local mean has to be subtracted. The root of the magnitude, relative to its
local mean (ours), replaces CFOG's normalisation: a saturated label must not outweigh ten faint parcel boundaries.
"""

from __future__ import annotations

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.resident import on_host
from matcher.gradients import eroded, strongest_gradient
from raster.box import box_sums

CHANNELS = 4
"""cos 2t, sin 2t, cos 4t, sin 4t of the gradient's orientation t, each weighted by the root of its magnitude."""

PRE_BLUR, POST_BLUR = 0.8, 1.5
"""Standard deviation in pixels of the blur before the gradients and of the blur of the harmonics."""

NOISE = 0.25 / 255
"""Gradients (per pixel, of values in [0, 1]) well below this are rounding, not structure."""

WINDOW = 65
"""Side in pixels of the neighbourhood whose mean a magnitude is relative to."""

FLOOR = 0.02
"""Added to that mean, in roots of gradients: where nothing rises above it, nothing is amplified."""


def orientation_harmonics(
    image: Tensor,
    mask: Tensor | None = None,
    post_blur: float = POST_BLUR,
    saturated: bool = False,
    window: int = WINDOW,
) -> Tensor:
    """Return the orientation harmonics of images.

    Args:
        image: B x 3 x H x W or B x 1 x H x W in [0, 1].
        mask: B x 1 x H x W bool, true where there is data. The harmonics are zero elsewhere and on the pixels whose
            gradient would see pixels without data, so correlations need no mask.
        post_blur: Standard deviation of the blur of the harmonics, pixels; 0 leaves it out.
        saturated: Let edges count nearly alike once they rise above their surroundings. Better for the search of
            hypotheses, in which lettering would count most; no better for sub-pixel shifts.
        window: Side in pixels of the neighbourhood whose mean a magnitude is relative to, odd.

    Returns:
        B x 4 x H x W float32.
    """
    gradient_x, gradient_y = strongest_gradient(gaussian_blur(image, PRE_BLUR), _central_differences)
    square = gradient_x.square() + gradient_y.square() + NOISE**2
    cos2 = (gradient_x.square() - gradient_y.square()) / square
    sin2 = 2 * gradient_x * gradient_y / square
    weight = square.pow(0.25)
    del gradient_x, gradient_y, square
    if mask is None:
        weight = weight / (box_mean(weight, window) + FLOOR)
    else:
        inside = eroded(mask, 3).float()
        weight = weight * inside
        weight = weight / (box_mean(weight, window) / box_mean(inside, window).clamp(min=1e-3) + FLOOR)
    if saturated:
        weight = weight / (1 + weight)
    harmonics = torch.cat([cos2, sin2, cos2.square() - sin2.square(), 2 * cos2 * sin2], dim=1) * weight
    return gaussian_blur(harmonics, post_blur) if post_blur else harmonics


def _central_differences(padded: Tensor) -> tuple[Tensor, Tensor]:
    x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return x, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def turn_harmonics(harmonics: Tensor, angles: Tensor) -> Tensor:
    """Return harmonics (B x 4 x H x W) as if the gradients of item b were turned by `angles[b]` radians, from x to
    y.

    Args:
        harmonics: B x 4 x H x W, see `orientation_harmonics`; pixels stay where they are.
        angles: B, radians.

    Returns:
        The shape and type of `harmonics`.
    """
    phases = torch.stack([2 * angles, 4 * angles], dim=1)[:, :, None, None]
    cosine, sine = torch.cos(phases).to(harmonics.dtype), torch.sin(phases).to(harmonics.dtype)
    real, imaginary = harmonics[:, 0::2], harmonics[:, 1::2]
    return torch.stack([cosine * real - sine * imaginary, sine * real + cosine * imaginary], dim=2).flatten(1, 2)


def box_mean(values: Tensor, window: int) -> Tensor:
    """Return the mean of B x 1 x H x W over `window` x `window` pixels (odd) around each, the border replicated.

    Args:
        values: B x 1 x H x W float; summed in float64.
        window: Side in pixels, odd.

    Returns:
        The shape and type of `values`.
    """
    radius = window // 2
    padded = F.pad(values, (radius + 1, radius, radius + 1, radius), mode="replicate")
    return (box_sums(padded, window, window) / window**2).to(values.dtype)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Return B x C x H x W blurred by a Gaussian of `sigma` pixels, the border replicated.

    Args:
        image: B x C x H x W float.
        sigma: Pixels, above 0; the kernel ends at three of them.

    Returns:
        The same shape.
    """
    radius = int(3 * sigma + 0.5)
    taps = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    batch, channels, height, width = image.shape
    if on_host(image.device):  # OpenCV does this some fifty times faster than torch here.
        blurred, weights = torch.empty_like(image, memory_format=torch.contiguous_format), kernel.numpy()
        for source, target in zip(image.flatten(0, 1).numpy(), blurred.flatten(0, 1).numpy(), strict=True):
            cv2.sepFilter2D(source, -1, weights, weights, dst=target, borderType=cv2.BORDER_REPLICATE)
        return blurred
    flat = image.reshape(batch * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return flat.reshape(image.shape)
