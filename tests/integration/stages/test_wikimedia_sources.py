"""The sources of Wikimedia against a small Wikimedia on loopback and against recorded answers of the real one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner
from wikimedia import WikimediaServer, small_world, statement

from mapdata.cli import build_app
from pipeline.errors import PermanentError
from stages.landmarks.select import OsmSelection
from stages.landmarks.wikimedia.answers import file_of, is_set, pages_of, plain_text, renamed
from stages.landmarks.wikimedia.commons import CommonsGround
from stages.landmarks.wikimedia.session import Session, Wikimedia
from stages.landmarks.wikimedia.wikidata import WikidataPages
from stages.landmarks.wikimedia.wikipedia import WikipediaText, article_of

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[WikimediaServer]:
    with WikimediaServer(small_world(4, 4)[0], maxlag=(2,), throttled=(3,)) as running:
        yield running


def candidates(folder: Path, landmarks: int = 4) -> list[dict[str, Any]]:
    path = folder / "extract.osm"
    path.write_text(small_world(landmarks, 1)[1])
    return OsmSelection(path=path).rows()[0]


def resolved(server: WikimediaServer, folder: Path, **further: Any) -> tuple[Any, Any]:
    return WikidataPages(wikimedia=server.settings(), **further).resolved(candidates(folder), folder)


def test_candidates_are_resolved(server: WikimediaServer, tmp_path: Path) -> None:
    rows, rejected = resolved(server, tmp_path)
    assert rejected == []
    assert {row["qid"] for row in rows} == {"Q1000", "Q1001", "Q1002", "Q1003"}  # the last by its article's title
    for row in rows:
        assert row["commons_category"].endswith("(building)")
        assert (row["category"], row["hierarchical_category"]) == ("town hall", "public building/town hall")
        assert (row["state"], row["places"]) == ("Nebraska", ["Nebraska", "Springfield"])
    given = Counter(each.address for each in server.asked("api") if each.given)
    assert max(given.values()) == 1
    before = len(server.log)
    resolved(server, tmp_path)
    assert len(server.log) == before, "asked again what the store has"


def test_candidates_without_pages_are_rejected(server: WikimediaServer, tmp_path: Path) -> None:
    entities = server.world.entities
    del entities["Q1000"]["sitelinks"]["enwiki"]
    entities["Q1001"]["sitelinks"].pop("commonswiki")
    entities["Q1001"]["claims"]["P373"] = [statement("Nowhere")]
    entities["Q1002"]["claims"]["P625"] = [
        statement({"longitude": 10.0, "latitude": 50.0, "globe": "http://www.wikidata.org/entity/Q2"}, "preferred"),
        *entities["Q1002"]["claims"]["P625"],
    ]
    server.world.items.clear()
    rows, rejected = resolved(server, tmp_path)
    assert rows == []
    reasons = sorted(row["reason"].split(",")[0] for row in rejected)
    assert reasons[0].startswith("Wikidata places it ")
    assert reasons[1:] == [
        "it has no article in the language 'en'",
        "its Commons category does not exist",
        "its article has no Wikidata item",
    ]


def test_a_merged_item_is_found_under_its_old_number(server: WikimediaServer, tmp_path: Path) -> None:
    server.world.redirects["Q1000"] = "Q5000"
    server.world.entities["Q5000"] = server.world.entities.pop("Q1000")
    rows, _ = resolved(server, tmp_path)
    assert "Q5000" in {row["qid"] for row in rows}


def test_photographs_of_a_category(server: WikimediaServer, tmp_path: Path) -> None:
    rows, _ = resolved(server, tmp_path)
    landmark = next(row for row in rows if row["qid"] == "Q1000")
    source = CommonsGround(wikimedia=server.settings(), article_files=True)
    given = {each.name: each for each in source.photographs(landmark, tmp_path)}
    with_picture = {name for name, each in given.items() if each.body is not None}
    assert with_picture == {
        *(f"File:Hall-0-{k}.jpg" for k in range(4)), "File:Specimen-moved.jpg", "File:Specimen-nameless.jpg",
        "File:Specimen-markup.jpg", "File:Article.jpg",
    }  # fmt: skip
    faults = {name.partition("-")[2]: each.fault for name, each in given.items() if each.fault}
    assert faults["gone.jpg"] == "its picture is gone"
    assert faults["deleted.jpg"] == "it was deleted, or moved without a trace"
    assert "allows no commercial use" in faults["noncommercial.jpg"]
    assert "allows no derivatives" in faults["noderivatives.jpg"]
    assert faults["unlicensed.jpg"] == faults["nonfree.jpg"] == "its licence is unknown"
    assert "image/svg+xml is not read" in faults["drawing.jpg"]
    assert "a redirect from 127.0.0.1" in faults["abroad.jpg"] or "a redirect to port" in faults["abroad.jpg"]
    assert server.asked("foreign") == []
    markup = given["File:Specimen-markup.jpg"]
    assert (markup.author, markup.date) == ("Eve of Z <3", "2011-05-04")
    assert given["File:Hall-0-0.jpg"].author == "Ann&Bob 0"
    assert given["File:Specimen-nameless.jpg"].author == ""
    assert all(each.sha1 and each.source_url and each.page_url for each in given.values() if each.body)
    # Refused licences and formats were never fetched, and no width but the one that the service makes.
    asked = {each.address.split("/")[2] for each in server.asked("file")}
    assert not {"Specimen-noncommercial.jpg", "Specimen-drawing.jpg", "Specimen-unlicensed.jpg"} & asked
    before = len(server.log)
    assert len(list(source.photographs(landmark, tmp_path))) == len(given)
    assert len(server.log) == before
    assert server.most["file"] <= 2
    assert server.most["api"] <= 3


def test_a_picture_elsewhere_is_not_fetched(server: WikimediaServer, tmp_path: Path) -> None:
    rules = Wikimedia.model_validate(server.settings(file_hosts=["upload.wikimedia.invalid"]))
    with Session(rules, tmp_path) as session:
        address = f"http://{server.foreign}/thumb/x/960px-x.jpg"
        found = session.wait(session.files([address]))
    assert isinstance(found[address], PermanentError)
    assert server.asked("foreign") == []


def test_articles_without_references_and_sentences_without_places(server: WikimediaServer, tmp_path: Path) -> None:
    from stages.landmarks.text import text_row

    rows, _ = resolved(server, tmp_path)
    found = WikipediaText(wikimedia=server.settings()).articles(rows, tmp_path)
    assert set(found) == {row["landmark_id"] for row in rows}
    row = rows[0]
    made = text_row(row, found[row["landmark_id"]][0])
    assert made is not None
    sections = json.loads(made["sections"])
    assert list(sections) == ["", "History"]
    assert sections[""].endswith("It was built by St. John & Sons.")
    assert made["sentence"] == f"{row['name'] or made['title']} is a town hall."
    assert made["source_url"].endswith("?oldid=77")


def test_the_token_reaches_the_api_and_nothing_else(
    server: WikimediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIKI_TOKEN", "sesame-4711")
    settings = server.settings(token_variable="WIKI_TOKEN")
    rows, _ = WikidataPages(wikimedia=settings).resolved(candidates(tmp_path), tmp_path)
    list(CommonsGround(wikimedia=settings).photographs(rows[0], tmp_path))
    assert {each.token for each in server.asked("api")} == {"Bearer sesame-4711"}
    assert {each.token for each in server.asked("file")} == {""}
    assert all("https://mapdata.invalid/contact" in each.agent for each in server.log)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sesame-4711" not in kept
    assert "sesame" not in json.dumps(CommonsGround(wikimedia=settings).key_fields())


def test_a_missing_token_is_named(server: WikimediaServer, tmp_path: Path) -> None:
    os.environ.pop("NO_SUCH_TOKEN", None)
    source = WikidataPages(wikimedia=server.settings(token_variable="NO_SUCH_TOKEN"))
    with pytest.raises(PermanentError, match="NO_SUCH_TOKEN holds no token"):
        source.resolved(candidates(tmp_path), tmp_path)


@pytest.mark.parametrize("contact", ["", "  ", "me", "ein Ä@x.org"])
def test_a_contact_is_compulsory(contact: str) -> None:
    with pytest.raises(ValidationError, match="contact"):
        CommonsGround(wikimedia={"contact": contact})


def test_config_check_refuses_the_contact_of_the_example_and_a_missing_extract() -> None:
    config = Path(__file__).resolve().parents[3] / "configs" / "mmlandmarks-us.yaml"
    checked = CliRunner().invoke(build_app(), ["config", "check", str(config)])
    assert checked.exit_code == 1
    for field in ("resolve.source.wikimedia.contact", "ground.source.wikimedia.contact", "aerial.source.rate_limits"):
        assert field in checked.output
    assert "there is no such file; download an extract" in checked.output


@pytest.mark.parametrize(
    "more", [{"api_concurrent": 4}, {"files_concurrent": 3}, {"megabits_per_second": 26}, {"contact": None}]
)
def test_the_rules_can_only_be_tightened(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wikimedia.model_validate({"contact": "a@b.org"} | more)


def test_limits_and_contact_are_in_no_key() -> None:
    one, two = (CommonsGround(wikimedia={"contact": each}) for each in ("a@b.org", "c@d.org"))
    assert one.key_fields() == two.key_fields()


def recorded(shared_data: Path, name: str) -> dict[str, Any]:
    path = shared_data / "landmarks" / "wikimedia-api" / f"{name}.json"
    (answer,) = json.loads(path.read_bytes())["interactions"]
    body = answer["response"]["body"]["string"]
    document: dict[str, Any] = json.loads(body)
    return document


def test_recorded_answers_about_files(shared_data: Path) -> None:
    (page,) = pages_of(recorded(shared_data, "TestVcrWikiImageinfoRaw.test_default_props"))
    known = file_of(page)
    assert known.title.startswith("File:Albert Einstein")
    assert known.mime.startswith("image/")
    assert len(known.sha1) == 40
    assert known.url.startswith("https://upload.wikimedia.org/")
    assert known.licence == ""
    (page,) = pages_of(recorded(shared_data, "TestVcrWikiImageinfoRaw.test_missing_file"))
    assert file_of(page).missing
    assert not file_of(page).shared
    (page,) = pages_of(recorded(shared_data, "TestVcrWikiImageinfoRaw.test_commons_file"))
    assert file_of(page).shared or file_of(page).url


def test_recorded_article(shared_data: Path) -> None:
    document = recorded(shared_data, "TestVcrWikiExtracts.test_extracts")
    (page,) = pages_of(document)
    article = article_of(page, "en")
    assert article.title == "Python (programming language)"
    assert renamed(document) == {"Python_(programming_language)": "Python (programming language)"}
    assert article.sections[""].startswith("Python is a high-level")
    assert "Naming" in article.sections
    left_out = {"References", "Sources", "See also", "Notes", "Further reading", "External links"}
    assert not left_out & set(article.sections)


def test_recorded_answers_of_other_kinds(shared_data: Path) -> None:
    places = {
        page["title"]: page["coordinates"][0]["lat"]
        for page in pages_of(recorded(shared_data, "TestVcrWikiBatchCoordinates.test_batch_coordinates"))
    }
    assert round(places["London"], 2) == 51.51
    assert not any(
        is_set(page, "missing") for page in pages_of(recorded(shared_data, "TestVcrWikiCoordinates.test_default"))
    )
    members = recorded(shared_data, "TestVcrWikiCategorymembers.test_categorymembers")["query"]["categorymembers"]
    assert members[0]["title"] == "Physics"


def test_markup_becomes_text() -> None:
    assert plain_text("A &amp; B") == "A & B"
    assert plain_text("<p>x</p><p>y</p>") == "x y"
    assert plain_text("<script>alert(1)</script>Z") == "Z"
    assert plain_text("<b unclosed") in ("", "<b unclosed")
    assert plain_text("&amp;lt;i&gt; a < b") == "&lt;i> a < b"  # unescaped once, as a page shows it
    said = '<span class="fn">Ann</span><div style="display: none;">creator QS:P170,<div>Q1</div></div> Bob'
    assert plain_text(said) == "Ann Bob"
    assert plain_text('Ann<br style="display:none">Bob') == "Ann Bob"


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"title": 5, "imageinfo": [None]},
        {"title": "File:A.jpg", "imageinfo": [{"extmetadata": [], "mime": 3}]},
        {"title": "File:A.jpg", "imageinfo": [{"extmetadata": {"Artist": {"value": ["x"]}, "License": {}}}]},
        {"title": "File:A.jpg", "imageinfo": [{"extmetadata": {"Artist": "x", "LicenseUrl": {}}}]},
    ],
)
def test_answers_of_other_types_say_nothing(page: dict[str, Any]) -> None:
    info = file_of(page)
    assert (info.licence, info.author, info.url) == ("", "", "")


def test_what_no_file_can_hold_is_left_out_of_texts(tmp_path: Path) -> None:
    """Halves of characters and control characters, which JSON may have."""
    odd = json.loads(r'"A\ud800nn\u0000\u0007\n\u05d0"')
    artist = {"title": "File:A.jpg", "imageinfo": [{"extmetadata": {"Artist": {"value": odd}}}]}
    article = article_of({"title": odd, "extract": f"{odd}\n== {odd[:3]} ==\n{odd}"}, "en")
    for text in (file_of(artist).author, article.title, *article.sections, *article.sections.values()):
        assert text.encode().decode() == text
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert file_of(artist).author == "A?nn א"
