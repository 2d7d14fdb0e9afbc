"""What images and texts of a release belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Landmark:
    """A landmark.

    Attributes:
        id: 16 hexadecimal digits.
        split: "train" or "query".
        facts: Its name, pages, categories and OpenStreetMap object, for the table and the STAC item.
        lonlat: Degrees.
        footprint: WKB polygon of its box, WGS84.
        sentence: The first sentence of its article, names of places removed.
        sections: Title -> text, the lead under "".
        text_licence: Of the article.
        text_attribution: What to print beside the text.
        text_url: Where the article is.
    """

    id: str
    split: str
    facts: Mapping[str, str | int | float]
    lonlat: tuple[float, float]
    footprint: bytes
    sentence: str
    sections: Mapping[str, str]
    text_licence: str
    text_attribution: str
    text_url: str
