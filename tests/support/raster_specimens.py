"""Small raster files of every kind that users have, each with what it shows, told independently of the reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from placed_specimens import PLACED
from rasterio.enums import ColorInterp as C
from specimen_files import HEIGHT, UTM, WIDTH, Specimen, Values, left, linear, outline, picture, write


def _alpha(values: Values, opaque: int) -> Values:
    return np.dstack([values, np.where(left(), 0, opaque).astype(values.dtype)])


def plain(path: Path) -> Specimen:
    return Specimen(write(path, picture()), picture(), outline=outline())


def grey(path: Path) -> Specimen:
    one = picture()[..., 0]
    return Specimen(write(path, one), np.dstack([one] * 3), outline=outline())


def bands_blue_first(path: Path) -> Specimen:
    values = np.dstack([picture()[..., ::-1], picture()[..., :1]])
    return Specimen(
        write(path, values, interpretation=(C.blue, C.green, C.red, C.undefined)), picture(), outline=outline()
    )


def bands_infrared_first(path: Path) -> Specimen:
    values = np.dstack([255 - picture()[..., :1], picture()])
    return Specimen(
        write(path, values, interpretation=(C.undefined, C.red, C.green, C.blue)), picture(), outline=outline()
    )


def alpha_first(path: Path) -> Specimen:
    values = np.roll(_alpha(picture(), 255), 1, axis=2)
    path = write(path, values, interpretation=(C.alpha, C.red, C.green, C.blue))
    return Specimen(path, picture(), ~left(), outline())


def alpha_last(path: Path) -> Specimen:
    path = write(path, _alpha(picture(), 255), interpretation=(C.red, C.green, C.blue, C.alpha))
    return Specimen(path, picture(), ~left(), outline())


def alpha_of_sixteen_bits(path: Path) -> Specimen:
    values = _alpha(picture().astype(np.uint16) * 40, 65535)
    path = write(path, values, interpretation=(C.red, C.green, C.blue, C.alpha))
    return Specimen(path, linear(values[..., :3], ~left()), ~left(), outline())


def grey_and_alpha(path: Path) -> Specimen:
    path = write(path, _alpha(picture()[..., :1], 255), alpha="YES")
    return Specimen(path, np.dstack([picture()[..., 0]] * 3), ~left(), outline())


def mask_inside(path: Path) -> Specimen:
    return Specimen(write(path, picture(), mask=~left()), picture(), ~left(), outline())


def mask_inside_many_bands(path: Path) -> Specimen:
    values = np.dstack([picture(), picture(), picture()])
    path = write(path, values, mask=~left(), photometric="RGB")
    return Specimen(path, picture(), ~left(), outline())


def mask_beside(path: Path) -> Specimen:
    path = write(path, picture(), mask=~left(), sidecar=True)
    assert path.with_name(path.name + ".msk").exists()
    return Specimen(path, picture(), ~left(), outline())


def mask_and_nodata(path: Path) -> Specimen:
    values = np.where((np.arange(HEIGHT) < 20)[:, None, None], np.uint8(0), picture())
    return Specimen(write(path, values, mask=~left(), nodata=0), values, ~left(), outline())


def _with_nodata(dtype: str, nodata: float, scale: float, offset: float) -> Callable[[Path], Specimen]:
    def make(path: Path) -> Specimen:
        values = (picture().astype(np.float64) * scale + offset).astype(dtype)
        filled = np.where(left()[..., None], np.array(nodata).astype(dtype), values)
        colours = values if dtype == "uint8" else linear(filled, ~left())
        return Specimen(write(path, filled, nodata=nodata), colours.astype(np.uint8), ~left(), outline())

    return make


def _not_finite(value: float, nodata: float | None) -> Callable[[Path], Specimen]:
    def make(path: Path) -> Specimen:
        values = np.where(left()[..., None], np.float32(value), picture().astype(np.float32))
        profile = {} if nodata is None else {"nodata": nodata}
        return Specimen(write(path, values, **profile), linear(values, ~left()), ~left(), outline())

    return make


def one_band_not_finite(path: Path) -> Specimen:
    values = picture().astype(np.float32)
    values[:, :40, 1] = np.nan
    return Specimen(write(path, values), linear(values, ~left()), ~left(), outline())


def nodata_in_one_band(path: Path) -> Specimen:
    """What one band lacks is black in it, and does not count in the range of the others."""
    values = picture().astype(np.float32) + 200
    values[:, :40, 1] = -9999
    known = values != -9999
    low, high = np.percentile(values[known].astype(np.float64), (0.5, 99.5))
    colours = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return Specimen(write(path, values, nodata=-9999), colours, outline=outline())


def _scaled(scales: tuple[float, ...], offsets: tuple[float, ...]) -> Callable[[Path], Specimen]:
    """Samples that stand for quantities: each band has its own factor and offset."""

    def make(path: Path) -> Specimen:
        samples = np.rint((picture().astype(np.float64) - offsets) / scales + 1e4).astype(np.uint16)
        offsets_of_file = np.array(offsets) - 1e4 * np.array(scales)
        path = write(path, samples)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = scales, tuple(offsets_of_file.tolist())
        quantities = samples * np.array(scales) + offsets_of_file
        return Specimen(path, linear(quantities, np.ones((HEIGHT, WIDTH), bool)), outline=outline())

    return make


def _stretched(dtype: str, scale: float, offset: float) -> Callable[[Path], Specimen]:
    def make(path: Path) -> Specimen:
        values = (picture().astype(np.float64) * scale + offset).astype(dtype)
        everywhere = np.ones((HEIGHT, WIDTH), bool)
        return Specimen(write(path, values), linear(values, everywhere), outline=outline())

    return make


def _palette(dtype: str, last: int, transparent: bool) -> Callable[[Path], Specimen]:
    """Eight colours and, as the left 40 columns, another, opaque or not. TIFF's own tables know no opacity, so GDAL's
    file beside it has one."""

    def make(path: Path) -> Specimen:
        values = np.where(left(), last, picture()[..., 0].astype(int) // 32).astype(dtype)
        table = {index: (index * 30, 255 - index * 30, 128, 255) for index in range(8)} | {last: (200, 9, 9, 255)}
        colours = np.array([table[value][:3] for value in values.ravel().tolist()], np.uint8).reshape(HEIGHT, WIDTH, 3)
        if not transparent:
            return Specimen(write(path, values, table=table, photometric="palette"), colours, outline=outline())
        table[last] = (200, 9, 9, 0)
        entries = "".join(
            '<Entry c1="{}" c2="{}" c3="{}" c4="{}"/>'.format(*table.get(value, (0, 0, 0, 255)))
            for value in range(last + 1)
        )
        path = write(path, values)
        path.with_name(path.name + ".aux.xml").write_text(
            '<PAMDataset><PAMRasterBand band="1"><ColorInterp>Palette</ColorInterp>'
            f"<ColorTable>{entries}</ColorTable></PAMRasterBand></PAMDataset>"
        )
        return Specimen(path, colours, ~left(), outline())

    return make


def _few_bits(bits: int, white_is_zero: bool = False) -> Callable[[Path], Specimen]:
    def make(path: Path) -> Specimen:
        top = 2**bits - 1
        levels = np.rint(picture()[..., 0] / 255 * top).astype(np.uint8)
        colours = np.rint(levels * (255 / top)).astype(np.uint8)
        profile: dict[str, Any] = {"nbits": bits} if bits < 8 else {}
        if white_is_zero:
            profile["photometric"], levels = "MINISWHITE", (top - levels).astype(np.uint8)
        return Specimen(write(path, levels, **profile), np.dstack([colours] * 3), outline=outline())

    return make


def sixteen_bits_white_is_zero(path: Path) -> Specimen:
    values = picture()[..., 0].astype(np.uint16) * 90
    colours = linear(values[..., None], np.ones((HEIGHT, WIDTH), bool))
    path = write(path, (65535 - values).astype(np.uint16), photometric="MINISWHITE")
    return Specimen(path, np.dstack([colours] * 3), outline=outline())


def inks(path: Path) -> Specimen:
    """Cyan, magenta, yellow and black of 8 bits, which GDAL converts."""
    values = np.dstack([picture(), picture()[..., 0] // 2])
    paper = (255.0 - values[..., :3]) * (255.0 - values[..., 3:]) / 255
    return Specimen(write(path, values, photometric="CMYK"), np.rint(paper).astype(np.uint8), outline=outline())


def inks_of_sixteen_bits(path: Path) -> Specimen:
    values = np.dstack([picture(), picture()[..., :1]]).astype(np.uint16) * 256
    return Specimen(write(path, values, photometric="CMYK"), picture(), refused="bands are cyan, magenta, yellow")


def luma_and_chroma(path: Path) -> Specimen:
    path = write(path, picture(), photometric="MINISBLACK", interpretation=(C.Y, C.Cb, C.Cr))
    return Specimen(path, picture(), refused="bands are Y, Cb, Cr")


def near_infrared_last(path: Path) -> Specimen:
    values = np.dstack([picture(), 255 - picture()[..., :1]])
    path = write(path, values, interpretation=(C.red, C.green, C.blue, C.nir))
    return Specimen(path, picture(), outline=outline())


def complex_numbers(path: Path) -> Specimen:
    return Specimen(write(path, picture()[..., 0].astype(np.complex64)), picture(), refused="complex numbers")


def png_of_sixteen_bits(path: Path) -> Specimen:
    values = picture().astype(np.uint16) * 100 + 7
    path = path.with_suffix(".png")
    cv2.imwrite(str(path), values[..., ::-1])
    path.with_suffix(".pgw").write_text("1\n0\n0\n-1\n600000.5\n5199999.5\n")
    path.with_name(path.name + ".aux.xml").write_text(
        f"<PAMDataset><SRS>{rasterio.CRS.from_string(UTM).to_wkt()}</SRS></PAMDataset>"
    )
    return Specimen(path, linear(values, np.ones((HEIGHT, WIDTH), bool)), outline=outline())


SPECIMENS: dict[str, Callable[[Path], Specimen]] = (
    PLACED
    | {
        maker.__name__: maker
        for maker in (
            plain,
            grey,
            bands_blue_first,
            bands_infrared_first,
            alpha_first,
            alpha_last,
            alpha_of_sixteen_bits,
            grey_and_alpha,
            mask_inside,
            mask_inside_many_bands,
            mask_beside,
            mask_and_nodata,
            one_band_not_finite,
            sixteen_bits_white_is_zero,
            inks,
            inks_of_sixteen_bits,
            luma_and_chroma,
            near_infrared_last,
            complex_numbers,
            png_of_sixteen_bits,
            nodata_in_one_band,
        )
    }
    | {
        "nodata_uint8": _with_nodata("uint8", 0, 0.9, 20),
        "nodata_int16": _with_nodata("int16", -32768, 10, -500),
        "nodata_uint16": _with_nodata("uint16", 0, 20, 300),
        "nodata_int32": _with_nodata("int32", -99999, 100, 0),
        "nodata_float32": _with_nodata("float32", -9999, 1 / 255, 0),
        "nodata_float64": _with_nodata("float64", 1e20, 3, -7),
        "nan": _not_finite(np.nan, None),
        "nan_as_nodata": _not_finite(np.nan, np.nan),
        "infinity": _not_finite(np.inf, None),
        "minus_infinity_beside_a_tag": _not_finite(-np.inf, -9999),
        "int8": _stretched("int8", 0.4, -30),
        "int16": _stretched("int16", 30, -2000),
        "uint16": _stretched("uint16", 30, 100),
        "int32": _stretched("int32", 3000, -9000),
        "uint32": _stretched("uint32", 3000, 9),
        "float32": _stretched("float32", 0.001, 0),
        "float64": _stretched("float64", 5, -300),
        "a_scale_for_each_band": _scaled((0.05, 0.5, 0.005), (0, 3, -7)),
        "negative_scale": _scaled((-0.5, -0.5, -0.5), (10, 10, 10)),
        "palette_uint8": _palette("uint8", 200, transparent=False),
        "palette_uint16": _palette("uint16", 1000, transparent=False),
        "transparent_palette_uint8": _palette("uint8", 200, transparent=True),
        "transparent_palette_uint16": _palette("uint16", 1000, transparent=True),
        "one_bit": _few_bits(1),
        "two_bits": _few_bits(2),
        "four_bits": _few_bits(4),
        "one_bit_white_is_zero": _few_bits(1, white_is_zero=True),
        "four_bits_white_is_zero": _few_bits(4, white_is_zero=True),
        "eight_bits_white_is_zero": _few_bits(8, white_is_zero=True),
    }
)
"""Every kind by its name; each is made from the path of the GeoTIFF to write."""
