"""Batches of records whose images differ in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from torch.utils.data import default_collate


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a batch of records, for `DataLoader(collate_fn=collate)`.

    Images are padded with zeros at the right and at the bottom to the largest of the batch, so that pixel coordinates
    and homographies stay true; `<name>_size` (B, 2) holds the height and width of each. Values that some records lack
    become a list.

    Args:
        samples: Records of one dataset; each tensor (C, H, W) in them is an image.
    """
    batch: dict[str, Any] = {}
    for name, first in samples[0].items():
        values = [sample[name] for sample in samples]
        if isinstance(first, torch.Tensor) and first.ndim == 3:
            sizes = [value.shape[-2:] for value in values]
            height, width = (max(size) for size in zip(*sizes, strict=True))
            padded = [pad(each, (0, width - each.shape[2], 0, height - each.shape[1])) for each in values]
            batch[name] = torch.stack(padded)
            batch[f"{name}_size"] = torch.tensor(sizes)
        else:
            batch[name] = values if any(value is None for value in values) else default_collate(values)
    return batch
