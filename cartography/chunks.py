"""Renderings are composed of canonical chunks of `CHUNK` pixels, aligned to the top-left pixel of the frame.

A block is put together from the chunks it touches, so it equals the same part of a whole rendering byte for byte,
although OpenCV's rasteriser rounds a line differently when it is clipped differently.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cartography.frame import Frame

CHUNK = 512


def assemble(frame: Frame, block: tuple[int, int, int, int], chunk: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Put a block (column, row, width, height) of a rendering together.

    `chunk(column, row)` renders the `CHUNK` x `CHUNK` pixels (fewer at the right and lower border of the frame) whose
    top-left pixel is (column, row).

    Args:
        frame: Grid of the whole rendering.
        block: Column, row, width and height of the block in pixels of the frame.
        chunk: Renders the chunk whose top-left pixel is (column, row).

    Returns:
        The block's pixels (height, width, ...).

    Raises:
        ValueError: The block does not lie in the frame.
    """
    column, row, width, height = block
    if (
        column < 0
        or row < 0
        or column + width > frame.width
        or row + height > frame.height
        or width <= 0
        or height <= 0
    ):
        raise ValueError(
            f"block (column, row, width, height) = {block} does not lie in the {frame.width}x{frame.height} frame"
        )
    result: np.ndarray | None = None
    for top in range(row // CHUNK * CHUNK, row + height, CHUNK):
        for left in range(column // CHUNK * CHUNK, column + width, CHUNK):
            part = chunk(left, top)
            if part.shape[:2] == (height, width) and (left, top) == (column, row):
                return part
            if result is None:
                result = np.empty((height, width, *part.shape[2:]), part.dtype)
            x0, y0 = max(left, column), max(top, row)
            x1, y1 = min(left + part.shape[1], column + width), min(top + part.shape[0], row + height)
            result[y0 - row : y1 - row, x0 - column : x1 - column] = part[y0 - top : y1 - top, x0 - left : x1 - left]
    assert result is not None
    return result


def chunk_frame(frame: Frame, column: int, row: int) -> Frame:
    """Return the frame of a chunk.

    Args:
        frame: Grid of the whole rendering.
        column: First column of the chunk, a multiple of `CHUNK`.
        row: First row of the chunk, a multiple of `CHUNK`.

    Returns:
        The chunk's own grid; smaller than `CHUNK` at the right and lower border.
    """
    return frame.block(column, row, min(CHUNK, frame.width - column), min(CHUNK, frame.height - row))
