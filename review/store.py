"""Saving: a state is accepted only if it follows the present one, goes to the journal, then to the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.files import SAVING_PREFIX, sweep_temporary
from review.documents import Document, read_document, write_document
from review.errors import Refused
from review.journal import Journal
from review.sites import Site, Sites
from stages.review.verdicts import FOLDER


class Store:
    """The documents of all raster pairs. Without a journal it is read-only. Not safe for several threads at once."""

    def __init__(self, sites: Sites, journal: Journal | None) -> None:
        self._sites = sites
        self._root: Path = sites.root
        self.journal = journal
        if journal is not None:
            for folder in ("tiepoints", FOLDER):
                sweep_temporary(self._root / folder, SAVING_PREFIX)
            self._finish_interrupted()

    def get(self, site: Site) -> Document:
        """Return the present document; what changed by other means than the page is noted in the journal first."""
        document = read_document(self._root, site)
        if self.journal is not None:
            last = self.journal.last(site.name)
            if last is not None and last.after != document.tag:
                self.journal.append(
                    "", site.name, "outside", last.after, document.tag, document.to_json(), "changed outside the page"
                )
        return document

    def save(
        self,
        site: Site,
        tag: str,
        operator: str,
        action: str,
        change: Callable[[Document], Document],
        summary: str = "",
    ) -> Document:
        """Change the document of a raster pair.

        Args:
            site: The raster pair.
            tag: Of the state that the client had before it.
            operator: Who changes it.
            action: What for; see `Journal.append`.
            change: Makes the new document of the present one.
            summary: For the journal.

        Returns:
            The new document.

        Raises:
            Refused: 412 where the present state is another, with that state; 403 where nothing may be written.
            DiskFullError, OSError: The files cannot be written; the journal is as it was.
        """
        journal = self.writable()
        present = self.get(site)
        if present.tag != tag:
            raise Refused(412, "somebody else changed this raster pair", document=present.to_json(), tag=present.tag)
        document = change(present)
        if document.tag == present.tag:
            return present
        if not journal.entries or journal.last(site.name) is None:
            # What was there before the first change made here is a state to go back to.
            journal.append("", site.name, "outside", "", present.tag, present.to_json(), "before the first change here")
        state = document.to_json()
        with journal.entered(operator, site.name, action, present.tag, document.tag, state, summary):
            write_document(self._root, site, document)
        return document

    def writable(self) -> Journal:
        """Return the journal. Raises Refused (403) where nothing may be written."""
        if self.journal is None:
            raise Refused(403, "this server was started with --read-only")
        return self.journal

    def _finish_interrupted(self) -> None:
        """Write what the journal has and the files have not: the server was killed between the two."""
        assert self.journal is not None
        for name, site in self._sites.all().items():
            last = self.journal.last(name)
            if last is None:
                continue
            present = read_document(self._root, site)
            if present.tag != last.after and (present.tag == last.before or _half_written(present, last.number, self)):
                found = self.journal.state(last.number)
                assert found is not None
                write_document(self._root, site, Document.from_json(found[1]))


def _half_written(present: Document, number: int, store: Store) -> bool:
    """Tell whether a document has the points of the journal's last state and the verdict of the one before."""
    assert store.journal is not None
    found = store.journal.state(number)
    return found is not None and Document.from_json(found[1]).points == present.points
