"""Text of strangers in Markdown."""

from __future__ import annotations

import html
import re

_MARKUP = re.compile(r"[\\`*_\[\]|]")


def escaped(text: str) -> str:
    """Return text that stays text in Markdown: one line, no HTML, no links or emphasis."""
    return _MARKUP.sub(r"\\\g<0>", html.escape(" ".join(text.split()), quote=False))
