"""The picture of an alignment: chequered and edge overlays before and after, the residuals as arrows, the regions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.files import write_bytes
from raster.homography import FloatArray, apply_homography
from raster.pair import RasterPair
from raster.resample import warped
from stages.align.pair import Evidence
from stages.align.view import reduced_view

WIDTH = 760
CHEQUERS = 10
ARROW = 8.0
"""Residuals are drawn this much longer than they are, in working pixels."""

QUALITY = 85
"""Of the JPEG: the picture stays below some 2 MB."""

Image = NDArray[np.uint8]


def write_picture(path: Path, evidence: Evidence, pair: RasterPair) -> None:
    """Write the picture (JPEG): before (by the prior) and after, as chequers and edges; below, the residuals.

    Args:
        path: The JPEG; written atomically.
        evidence: Its prior may be None; then the panels "before" show the visible raster alone.
        pair: The rasters, read at about `WIDTH` pixels on the longer side.
    """
    view, to_view = reduced_view(pair.visible, WIDTH)
    visible = view.image
    height, width = visible.shape[:2]
    homography = evidence.alignment.transform.homography
    rows = []
    for title, matrix in (("before", evidence.prior), ("after", homography)):
        if matrix is None:
            drawn = np.full_like(visible, 235), np.zeros((height, width), bool)
        else:
            drawn = warped(pair.map, to_view @ matrix, width, height)
        rows.append(_row(visible, *drawn, title))
    arrows = _arrows(visible, evidence, to_view)
    text = np.full_like(visible, 255)
    for line, words in enumerate(_lines(evidence)):
        cv2.putText(text, words, (12, 28 + 24 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (20, 20, 20), 1, cv2.LINE_AA)
    picture = np.concatenate([*rows, np.concatenate([arrows, text], axis=1)])
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    write_bytes(path, encoded.tobytes())


def _row(visible: Image, drawn: Image, data: NDArray[np.bool_], title: str) -> Image:
    height, width = visible.shape[:2]
    cell = max(8, width // CHEQUERS)
    y, x = np.indices((height, width)) // cell
    chequers = np.where((((x + y) % 2 == 0) & data)[..., None], drawn, visible)
    edges = cv2.Canny(cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY), 60, 160) > 0
    overlay = visible.copy()
    overlay[edges & data] = (255, 40, 40)
    for panel, words in ((chequers, f"{title}: map and image chequered"), (overlay, f"{title}: edges of the map")):
        cv2.putText(panel, words, (9, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.putText(panel, words, (9, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([chequers, overlay], axis=1))


def _arrows(visible: Image, evidence: Evidence, to_view: FloatArray) -> Image:
    """Draw residuals: green where a window is reliable and agrees, orange where it only agrees, else red.

    Refused regions are tinted red.
    """
    canvas = np.ascontiguousarray(visible // 2 + 100)
    windows, fitted = evidence.windows, evidence.fitted
    if windows is None or fitted is None:
        return canvas
    for region in evidence.alignment.regions:
        x0, y0, x1, y1 = region.bounds
        (left, top), (right, bottom) = np.rint(apply_homography(to_view, [[x0, y0], [x1, y1]])).astype(int).tolist()
        if not region.accepted:
            cell = canvas[top:bottom, left:right]
            cell[:] = cell // 2 + np.array([120, 30, 30], np.uint8)
        cv2.rectangle(canvas, (left, top), (right, bottom), (90, 90, 90), 1)
    modelled = apply_homography(evidence.alignment.transform.homography, windows.source)
    ends = modelled + (windows.found - modelled) * ARROW
    starts, ends = apply_homography(to_view, modelled), apply_homography(to_view, ends)
    agreeing = evidence.window_agreeing if len(evidence.window_agreeing) else fitted.inliers
    for start, end, agrees, reliable in zip(starts, ends, agreeing, windows.reliable, strict=True):
        colour = ((0, 130, 0) if reliable else (230, 140, 0)) if agrees else (200, 0, 0)
        first, last = np.clip(np.rint([start, end]), -9999, 9999).astype(int).tolist()
        cv2.arrowedLine(canvas, first, last, colour, 2 if agrees else 1, cv2.LINE_AA, tipLength=0.25)
    return canvas


def _lines(evidence: Evidence) -> list[str]:
    alignment = evidence.alignment
    residual = "unknown" if alignment.transform.residual_px is None else f"{alignment.transform.residual_px:.2f} px"
    kind = evidence.fitted.kind if evidence.fitted is not None else "-"
    lines = [
        f"{alignment.verdict}: {alignment.method}, correction: {kind}",
        f"residual {residual}, inliers {alignment.transform.inliers}, arrows x {ARROW:g}",
    ]
    if evidence.local is not None and np.isfinite(evidence.local.generalisation_px):
        local = evidence.local
        lines.append(
            f"local misalignment {local.misalignment_px:.2f} px, generalisation {local.generalisation_px:.2f} px"
        )
    lines += [f"{'pass' if c.passed else 'FAIL'}  {c.name}: {c.value:.2f} (limit {c.limit:g})" for c in evidence.checks]
    return lines + [alignment.reason[i : i + 80] for i in range(0, min(len(alignment.reason), 320), 80)]
