"""What images and texts of a release belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """An article about a landmark.

    Attributes:
        language: Code, such as "en".
        sentence: Its first sentence, names of places removed.
        sections: Title -> text, the lead under "".
        licence: Of the article.
        attribution: What to print beside it.
        url: Where it is.
    """

    language: str
    sentence: str
    sections: Mapping[str, str]
    licence: str
    attribution: str
    url: str


@dataclass(frozen=True)
class Landmark:
    """A landmark.

    Attributes:
        id: 16 hexadecimal digits.
        split: "train" or "query".
        facts: Its name, pages, categories and OpenStreetMap object, for the table and the STAC item.
        lonlat: Degrees.
        footprint: WKB polygon of its box, WGS84.
        texts: A text a language, at least one; the first stands for the landmark wherever one text is wanted.
    """

    id: str
    split: str
    facts: Mapping[str, str | int | float]
    lonlat: tuple[float, float]
    footprint: bytes
    texts: tuple[Text, ...]

    @property
    def text(self) -> Text:
        """The text that stands for the landmark."""
        return self.texts[0]
