"""Synthetic names in several scripts, composed of syllables."""

from __future__ import annotations

from cartography.hashing import mix

_SYLLABLES: dict[str, tuple[str, ...]] = {
    "latin": ("al", "ber", "cor", "dan", "el", "fen", "gar", "hol", "in", "kel", "lor", "mar", "nor", "or", "pel",
        "ros", "sal", "tor", "ul", "ver", "wen", "zel"),
    "cyrillic": ("ал", "бер", "гор", "дан", "ель", "жар", "зор", "кол", "лес", "мир", "нов", "ост", "пол", "род",
        "сав", "тор", "ул", "чер"),
    "greek": ("αλ", "βερ", "γα", "δο", "ελ", "θα", "κο", "λι", "με", "νο", "πα", "ρο", "σα", "τη"),
    "han": ("山", "水", "大", "中", "南", "北", "東", "西", "安", "平", "新", "和", "江", "海", "林", "金",
        "石", "田", "花", "光"),
    "kana": ("ア", "カ", "サ", "タ", "ナ", "ハ", "マ", "ラ", "セ", "ト", "ビ", "ル", "ン", "リ",
        "コ", "の", "や", "き"),
    "hangul": ("가", "나", "다", "마", "바", "산", "성", "동", "강", "남", "북", "중", "신", "대", "전", "원"),
    "arabic": ("با", "دار", "سا", "نور", "كر", "ما", "ري", "شم", "طا", "عم"),
    "devanagari": ("का", "रा", "म", "न", "गर", "पु", "ला", "सि", "दे", "व"),
}  # fmt: skip
_STREET: dict[str, str] = {
    "latin": " Street", "cyrillic": " улица", "greek": " Οδός", "han": "路", "kana": "通り", "hangul": "로",
    "arabic": " شارع", "devanagari": " मार्ग",
}  # fmt: skip
SCRIPTS: tuple[str, ...] = tuple(_SYLLABLES)


def name_of(key: int, script: str) -> str:
    """Return the name that belongs to a key.

    Args:
        key: Key of a feature.
        script: One of `SCRIPTS`.

    Returns:
        The name.
    """
    syllables = _SYLLABLES[script]
    count = 2 + mix(key, 1) % (2 if script != "kana" else 4)
    word = "".join(syllables[mix(key, 2, i) % len(syllables)] for i in range(count))
    return word.capitalize()


def street_name(key: int, script: str) -> str:
    """Return the name of a street.

    Args:
        key: Key of the street.
        script: One of `SCRIPTS`.

    Returns:
        The name, with the word for a street.
    """
    return name_of(key, script) + _STREET[script]
