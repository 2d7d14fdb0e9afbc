"""What a browser is shown of the rasters: tiles of every zoom, edges of the map, thumbnails, pairs as they will be cut.

Full resolution comes from the raster itself, without loss; smaller versions from a pyramid beside the workspace's other
files, made in the background when a raster is first looked at.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

import raster.reader
from raster.gdal import Session
from raster.image import Image
from raster.pair import RasterPair
from raster.reader import RasterReader
from review.errors import Refused
from review.pyramid import TILE, Pyramid, levels_of, tiles_of
from review.sites import Side, Site
from stages.rasters import SIDES, open_raster
from stages.tile.encode import TileFormat, encode

_OPEN = 8
"""Rasters kept open."""

_OPEN_PYRAMIDS = 64
"""Pyramids kept open beside those in the making; each takes a file handle."""

_THUMBNAIL = 160
_EDGE_LEVELS = 50, 140


class Views:
    """Tiles of the rasters of a workspace. Methods that read may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pyramids: OrderedDict[str, Pyramid] = OrderedDict()
        self._builds: dict[str, asyncio.Future[bool]] = {}
        self._builder = ThreadPoolExecutor(2, "pyramid")
        self._thumbnails = asyncio.Semaphore(1)  # so that a view never waits for the thumbnails of a long queue
        self._stopping = threading.Event()
        # GDAL's settings belong to a thread: one opens, reads and closes all rasters that are kept open.
        self._reading = ThreadPoolExecutor(1, "rasters", initializer=_begin_reading)
        self._readers: OrderedDict[Path, tuple[RasterReader, ExitStack]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop making pyramids; what is made stays."""
        self._stopping.set()
        self._builder.shutdown(cancel_futures=True)
        self._reading.submit(self._close_readers).result()
        self._reading.shutdown()
        for pyramid in self._pyramids.values():
            pyramid.close()

    def progress(self, site: Site) -> float:
        """Return the share of the smaller versions of both rasters that is made."""
        pyramids = [self._pyramid(site.sides[side]) for side in SIDES]
        total = sum(pyramid.total for pyramid in pyramids)
        return sum(pyramid.made for pyramid in pyramids) / total if total else 1.0

    async def prepared(self, side: Side) -> Pyramid:
        """Return the whole pyramid of a raster, when it is made."""
        pyramid = self._pyramid(side)
        if not pyramid.complete:
            build = self._builds.get(side.digest)
            if build is None or build.done():
                build = asyncio.get_running_loop().run_in_executor(self._builder, self._build, side, pyramid)
                self._builds[side.digest] = build
            await asyncio.shield(build)
        return pyramid

    async def tile(self, side: Side, level: int, column: int, row: int, look: str = "") -> tuple[bytes, str]:
        """Return a tile of 512 px and its media type.

        Args:
            side: The raster.
            level: 0 is full resolution, each further one half of it.
            column: Counted from the left.
            row: Counted from the top.
            look: `edges` for the edges alone, on nothing; else the picture.

        Raises:
            Refused: 404 where there is no such tile.
        """
        width, height = side.size
        if not 0 <= level <= levels_of(width, height):
            raise Refused(404, "no such level")
        columns, rows = tiles_of(width, height, level)
        if not (0 <= column < columns and 0 <= row < rows):
            raise Refused(404, "no such tile")
        if level == 0:
            pixels = await self._full(side, column, row)
            return (_edges(pixels) if look else _png(pixels)), "image/png"
        data = (await self.prepared(side)).tile(level, column, row)
        if data is None:
            raise Refused(404, "no such tile")
        return (_edges(simplejpeg.decode_jpeg(data)), "image/png") if look else (data, "image/jpeg")

    async def thumbnail(self, side: Side) -> bytes:
        """Return a raster as a JPEG of 160 px at most."""
        async with self._thumbnails:
            pyramid = await self.prepared(side)
        level = levels_of(*side.size)
        data = pyramid.tile(level, 0, 0)
        image = simplejpeg.decode_jpeg(data) if data is not None else await self._full(side, 0, 0)
        width, height = (max(1, -(-length // (1 << level))) for length in side.size)
        image = image[:height, :width]
        scale = _THUMBNAIL / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=82))

    @contextmanager
    def pair(self, site: Site) -> Iterator[RasterPair]:
        """Open both rasters for this thread alone."""
        with open_raster(site.sides["map"].path) as drawn, open_raster(site.sides["visible"].path) as visible:
            yield RasterPair(drawn, visible)

    async def _full(self, side: Side, column: int, row: int) -> Image:
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read, side, column, row)

    def _read(self, side: Side, column: int, row: int) -> Image:
        """Read a tile of full resolution; beyond the raster's border its last pixels go on."""
        width, height = side.size
        x, y = column * TILE, row * TILE
        pixels, mask = self._reader(side.path).read(x, y, min(TILE, width - x), min(TILE, height - y))
        if not mask.all():
            pixels[~mask] = 0
        beyond = (0, TILE - pixels.shape[0]), (0, TILE - pixels.shape[1]), (0, 0)
        return np.pad(pixels, beyond, mode="edge") if np.any(beyond) else pixels

    def _reader(self, path: Path) -> RasterReader:
        if path not in self._readers:
            stack = ExitStack()
            # GDAL's own files read in pieces of 4 KiB around what it asks for, which doubles the reads of a tile.
            reader = stack.enter_context(raster.reader.open_raster(path, siblings=False, opener=_unbuffered))
            self._readers[path] = reader, stack
            if len(self._readers) > _OPEN:
                self._readers.popitem(last=False)[1][1].close()
        self._readers.move_to_end(path)
        return self._readers[path][0]

    def _close_readers(self) -> None:
        while self._readers:
            self._readers.popitem()[1][1].close()

    def _pyramid(self, side: Side) -> Pyramid:
        with self._lock:
            if side.digest not in self._pyramids:
                path = self._folder / f"{side.digest}.tiles"
                self._pyramids[side.digest] = Pyramid(path, *side.size)
                for digest in list(self._pyramids)[: max(0, len(self._pyramids) - _OPEN_PYRAMIDS)]:
                    build = self._builds.get(digest)
                    if build is None or build.done():
                        self._pyramids.pop(digest).close()
            self._pyramids.move_to_end(side.digest)
            return self._pyramids[side.digest]

    def _build(self, side: Side, pyramid: Pyramid) -> bool:
        with open_raster(side.path) as reader:
            return pyramid.build(reader, self._stopping.is_set)


def _unbuffered(path: str, mode: str = "rb") -> io.FileIO:
    return open(path, "rb", buffering=0)


def _begin_reading() -> None:
    """Hold GDAL's settings for this thread as long as it lives, so that rasters may be closed in any order."""
    Session().activate().__enter__()


def _png(image: Image) -> bytes:
    return encode(image, TileFormat.PNG, 0)


def _edges(image: Image) -> bytes:
    """Return the edges of an image as PNG: where there are none it is transparent."""
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *_EDGE_LEVELS)
    shown = np.zeros((*edges.shape, 4), np.uint8)
    shown[edges > 0] = 0, 60, 255, 255  # OpenCV writes blue, green, red
    return bytes(cv2.imencode(".png", shown, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
