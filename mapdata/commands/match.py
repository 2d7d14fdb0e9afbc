"""`mapdata match`: correspondences and homography of two images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapdata.options import Device

if TYPE_CHECKING:
    from matcher.images import RGBImage
    from matcher.types import Matches
    from raster.fit import Fit


def register(app: typer.Typer) -> None:
    """Add `match`."""
    app.command()(match)


def match(
    image0: Annotated[Path, typer.Argument(help="First image: PNG, JPEG, WebP, TIFF, GeoTIFF and what GDAL reads.")],
    image1: Annotated[Path, typer.Argument(help="Second image.")],
    matcher: Annotated[
        str,
        typer.Option(
            help="Name of a matcher, fast-mapglue@FILE, torchscript:PATH, vismatch:NAME or package.module:Class."
        ),
    ] = "fast-mapglue",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Write every correspondence and the homography as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the matches and the overlay (PNG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Match two images and fit a homography, pixels of the first -> pixels of the second.

    Pixel (0, 0) is the centre of the top-left pixel. Exit status 1 when no homography can be trusted.

    Example: `mapdata match map.png visible.tif --matcher fast-mapglue --plot matches.png`
    """
    import json
    import time

    from mapdata.image_files import read_image_file
    from matcher import load_matcher
    from raster.fit import fit

    images = read_image_file(image0), read_image_file(image1)
    model = load_matcher(matcher, device)
    begin = time.perf_counter()
    matches = model.match(*images)
    fitted = fit(matches.points0, matches.points1)
    summary = {
        "matcher": model.name,
        "image0": str(image0),
        "image1": str(image1),
        **_summary(matches, fitted),
        "seconds": round(time.perf_counter() - begin, 4),
    }
    if out:
        _write_matches(out, summary, matches, fitted)
    if plot:
        _write_plot(plot, *images, matches, fitted)
    typer.echo(json.dumps(summary, indent=1) if as_json else _text(summary))
    if fitted.matrix is None:
        raise typer.Exit(1)


def _summary(matches: Matches, fitted: Fit) -> dict[str, Any]:
    return {
        "matches": len(matches),
        "inliers": int(fitted.inliers.sum()),
        "homography": None if fitted.matrix is None else fitted.matrix.tolist(),
        "residual_px": None if fitted.matrix is None else fitted.residual_px,
        "reason": fitted.reason,
    }


def _text(summary: dict[str, Any]) -> str:
    counts = f"{summary['matches']} matches, {summary['inliers']} inliers"
    lines = [f"{counts}, {summary['seconds']:.2f} s by {summary['matcher']}"]
    if summary["homography"] is None:
        return "\n".join([*lines, f"no homography: {summary['reason']}"])
    rows = ["  " + "  ".join(f"{value:14.8g}" for value in row) for row in summary["homography"]]
    return "\n".join([*lines, f"homography (residual {summary['residual_px']:.2f} px):", *rows])


def _write_matches(path: Path, summary: dict[str, Any], matches: Matches, fitted: Fit) -> None:
    from pipeline.files import write_json

    points = {
        "points0": matches.points0,
        "points1": matches.points1,
        "scores": matches.scores,
        "inlier": fitted.inliers,
    }
    write_json(path, {**summary, **{name: values.tolist() for name, values in points.items()}})


def _write_plot(path: Path, image0: RGBImage, image1: RGBImage, matches: Matches, fitted: Fit) -> None:
    import cv2

    from matcher.plot import draw_matches
    from pipeline.files import write_bytes

    picture = draw_matches(image0, image1, matches, fitted)
    write_bytes(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
