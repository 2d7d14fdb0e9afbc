"""The fonts a map may use: those that Python packages carry, never the machine's own, so all machines draw the same.

DejaVu comes with mapnik (Latin, Greek, Cyrillic, Hebrew, Arabic, Georgian, Armenian), Source Sans Pro with
`font-source-sans-pro`, IPAex Gothic with `matplotlib-fontja` (Japanese, Traditional Chinese), Nanum Gothic with
`koreanize-matplotlib` (Korean), Noto Sans for the scripts of South and South-East Asia and of Ethiopia with
`manimgx-fonts`. Simplified Chinese takes the extra `fonts`: Noto Sans SC with `pylopdf-fonts-zh-cn`. A font is named by
its face, which is family and style: "DejaVu Sans Bold".
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import ImageFont

_FILES = (
    ("mapnik", "lib/mapnik/fonts/*.ttf"),
    ("font_source_sans_pro", "files/*.ttf"),
    ("matplotlib_fontja", "fonts/*.ttf"),
    ("koreanize_matplotlib", "fonts/*.ttf"),
    ("manimgx_fonts", "NotoSans*.ttf"),
    ("pylopdf_fonts_zh_cn", "NotoSansSC*.otf"),
)
_NOTO_SCRIPTS = (
    "Bengali", "Devanagari", "Ethiopic", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao", "Malayalam", "Myanmar",
    "Oriya", "Sinhala", "Tamil", "Telugu", "Thai", "SC",
)  # fmt: skip
_FALLBACKS = (
    "DejaVu Sans Book",
    "IPAexGothic Regular",
    "NanumGothic Regular",
    *(f"Noto Sans {script} Regular" for script in _NOTO_SCRIPTS),
)
_MEASURED_PX = 64

_log = logging.getLogger(__name__)


@cache
def font_files() -> dict[str, Path]:
    """Return the file of every face. A package that is not installed is passed over."""
    files: dict[str, Path] = {}
    for package, pattern in _FILES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for path in sorted(Path(spec.origin).parent.glob(pattern)):
            family, style = ImageFont.truetype(str(path), _MEASURED_PX).getname()
            files.setdefault(f"{family} {style}", path)
    return files


@cache
def fonts_digest() -> str:
    """Return a digest of the fonts that are installed: maps drawn with others may look different."""
    digest = hashlib.blake2b(digest_size=16)
    for face, path in font_files().items():
        digest.update(face.encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def resolve(faces: tuple[str, ...]) -> tuple[str, ...]:
    """Return the known ones of `faces`, then the fallbacks for scripts they lack; an unknown face is logged once.

    Args:
        faces: Names of faces, the preferred one first.

    Returns:
        Names of faces that exist, without repetition.
    """
    for face in faces:
        if face not in font_files():
            _log.warning("font %r is not among the %d known faces; using the next", face, len(font_files()))
    wanted = dict.fromkeys(faces + _FALLBACKS)
    return tuple(face for face in wanted if face in font_files())


@lru_cache(maxsize=100_000)
def writable(text: str, faces: tuple[str, ...]) -> bool:
    """Tell whether every character is in one of the faces or fallbacks: a map shows no name rather than empty boxes.

    Args:
        text: The name.
        faces: Names of faces, the preferred one first.

    Returns:
        True if nothing is missing.
    """
    shown = [c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"]  # Cf: marks of direction and such
    return all(any(ord(c) in _characters(face) for face in resolve(faces)) for c in shown)


@lru_cache(maxsize=100_000)
def text_width(text: str, faces: tuple[str, ...], size_px: float) -> float:
    """Return the width of one line of lettering in pixels, to a few per cent: enough to lay labels out.

    East Asian characters count as one em, since the first face may lack them.

    Args:
        text: One line.
        faces: Names of faces, the preferred one first.
        size_px: Size of the lettering, pixels an em.

    Returns:
        Width in pixels.
    """
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    narrow = "".join(character for character in text if unicodedata.east_asian_width(character) not in "WF")
    return float(size_px * wide + _measure(resolve(faces)[0]).getlength(narrow) * size_px / _MEASURED_PX)


@cache
def _measure(face: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_files()[face]), _MEASURED_PX, layout_engine=ImageFont.Layout.BASIC)


@cache
def _characters(face: str) -> frozenset[int]:
    with TTFont(font_files()[face], lazy=True) as font:
        return frozenset(font.getBestCmap())
