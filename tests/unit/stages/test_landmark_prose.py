"""Texts, licences and flags of landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from catalog.landmarks.schema import is_free
from stages.landmarks.ground import decoded, flags_of
from stages.landmarks.licences import refusal, spdx_of
from stages.landmarks.prose import cleaned_sections, first_sentence, sections_of, without_places
from stages.landmarks.sources import Article
from stages.landmarks.text import text_row

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The Gateway Arch stands in St. Louis, Missouri. It is high.",
            "The Gateway Arch stands in St. Louis, Missouri.",
        ),
        ("It was built by Dr. J. Smith Jr. in 1900. Later it burnt.", "It was built by Dr. J. Smith Jr. in 1900."),
        ("One sentence only", "One sentence only"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, expected: str) -> None:
    assert first_sentence(text) == expected


@pytest.mark.parametrize(
    ("sentence", "own", "expected"),
    [
        (
            "St. Patrick's Cathedral is a church in Manhattan, New York City, built of marble.",
            (),
            "St. Patrick's Cathedral is a church, built of marble.",
        ),
        (
            "The Gateway Arch is a 630-foot monument in St. Louis, Missouri, United States (38.6247, -90.1848).",
            (),
            "The Gateway Arch is a 630-foot monument.",
        ),
        ("Holor School is a school in Holrostor, Cormar.", ("Holrostor", "Cormar"), "Holor School is a school."),
        ("The Old State House, at 40°26′46″N 79°58′56″W, is a museum near Pittsburgh.", (), None),
        ("It has two towers of brick.", (), "It has two towers of brick."),
    ],
)
def test_names_of_places_are_removed(sentence: str, own: tuple[str, ...], expected: str | None) -> None:
    found = without_places(sentence, own)
    assert expected is None or found == expected
    for name in ("Manhattan", "Missouri", "St. Louis", "Cormar", "Pittsburgh", "40°", "38.6247"):
        assert name not in found


def test_sections_that_say_nothing_are_left_out_with_what_is_below_them() -> None:
    extract = (
        "Lead one.\nLead two.\n\n== History ==\nIt was.\n=== Later ===\nMore.\n== References ==\nx\n=== Books ===\ny\n"
        "== Present ==\nz\n== History ==\nAgain."
    )
    sections = sections_of(extract)
    assert sections == {
        "": "Lead one.\nLead two.",
        "History": "It was.",
        "Later": "More.",
        "Present": "z",
        "History (2)": "Again.",
    }
    assert cleaned_sections({"": "a", "See also": "b", "Empty": " "}) == {"": "a"}


@pytest.mark.parametrize("sections", [{}, {"": " \n"}, {"History": "It was."}, {"References": "1."}])
def test_an_article_without_a_lead_is_no_text(sections: dict[str, str]) -> None:
    assert (
        text_row({"landmark_id": "f" * 16, "name": "Hall", "places": None, "state": ""}, Article("Hall", sections))
        is None
    )


def test_sections_of_other_languages_are_left_out() -> None:
    german = sections_of("Der Turm.\n== Geschichte ==\nAlt.\n== Einzelnachweise ==\n1.\n== Weblinks ==\nx")
    assert german == {"": "Der Turm.", "Geschichte": "Alt."}


@pytest.mark.parametrize(
    ("name", "url", "licence", "allowed"),
    [
        ("CC BY-SA 4.0", "", "CC-BY-SA-4.0", True),
        ("cc-by-2.0", "", "CC-BY-2.0", True),
        ("CC0", "", "CC0-1.0", True),
        ("Public domain", "", "Public-Domain", True),
        ("PD-USGov", "", "Public-Domain", True),
        ("Attribution", "https://creativecommons.org/licenses/by-sa/3.0/deed.en", "CC-BY-SA-3.0", True),
        ("", "https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0", True),
        ("cc-by-nc-nd-2.0", "", "CC-BY-NC-ND-2.0", False),
        ("CC BY-ND 3.0", "", "CC-BY-ND-3.0", False),
        ("CC BY-NC 4.0", "", "CC-BY-NC-4.0", False),
        ("", "https://creativecommons.org/licenses/by-nc/2.0/", "CC-BY-NC-2.0", False),
        ("CC BY", "", "CC-BY", True),
        ("CC BY SA 4.0", "", "CC-BY-SA-4.0", True),
        ("CC BY-SA 3.0 de", "", "CC-BY-SA-3.0", True),
        ("CC BY NC 2.0", "", "CC-BY-NC-2.0", False),
        ("CC BY 2.0, non-commercial use only", "", "CC-BY-2.0-NC", False),
        ("CC BY 4.0 (NoDerivatives)", "", "CC-BY-4.0-ND", False),
        ("No restrictions on noncommercial use", "", "Public-Domain-NC", False),
        ("CC BY 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0", False),
        ("Free for non-commercial use", "", "unknown-NC", False),
        ("Copyrighted free use", "", "", False),
        ("GFDL", "", "", False),
        ("", "", "", False),
    ],
)
def test_licences(name: str, url: str, licence: str, allowed: bool) -> None:
    assert spdx_of(name, url) == licence
    assert (refusal(licence) == "") is allowed
    # What the stage lets pass, the release must not refuse after days of collecting.
    assert is_free(licence) is allowed


def test_a_photograph_that_is_cut_short_is_not_decoded() -> None:
    """OpenCV fills what is missing with grey; that is no photograph."""
    picture = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    jpeg, progressive, png = (
        bytes(cv2.imencode(suffix, picture, options)[1])
        for suffix, options in ((".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", []))
    )
    for body in (jpeg, progressive, png):
        whole = decoded(body)
        assert whole is not None
        assert whole.shape == (60, 80, 3)
        assert decoded(body[: len(body) * 2 // 3]) is None
        assert decoded(body + b"a film after the picture") is not None
    preview = b"\xff\xe1" + (len(jpeg) + 2).to_bytes(2) + jpeg  # it has an end of its own
    assert decoded(jpeg[:2] + preview + jpeg[2:]) is not None
    assert decoded(jpeg[:2] + preview + jpeg[2 : len(jpeg) * 2 // 3]) is None
    assert decoded(b"\xff\xd8") is None
    assert decoded(b"") is None


@pytest.mark.parametrize(
    ("title", "categories", "flags"),
    [
        ("Church_of_St_Mary.jpg", (), []),
        ("View from the tower", (), ["view from it"]),
        ("Nave", ("Interiors of churches",), ["interior"]),
        ("Portrait of the architect", (), ["portrait"]),
        ("Map of the castle", (), ["map"]),
        ("Mapleton town hall", (), []),
    ],
)
def test_flags(title: str, categories: tuple[str, ...], flags: list[str]) -> None:
    assert flags_of(title, categories) == flags
