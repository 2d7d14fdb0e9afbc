"""What images and masks are in memory."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""H x W x 3, uint8, RGB."""

Mask: TypeAlias = NDArray[np.bool_]
"""H x W, True where there is data."""
