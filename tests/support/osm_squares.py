"""OpenStreetMap extracts of square areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EDGE = 0.001
"""Degrees; about 100 m."""
_CORNERS = ((0, 0), (EDGE, 0), (EDGE, EDGE), (0, EDGE))


def osm_squares(squares: Iterable[tuple[float, float, Mapping[str, str]]]) -> str:
    """Return the XML of an extract: ways 1, 2, 3... with west, south (degrees) and tags as given."""
    nodes, ways = [], []
    for n, (west, south, tags) in enumerate(squares):
        ids = range(n * 10 + 1, n * 10 + 5)
        for node, (dx, dy) in zip(ids, _CORNERS, strict=True):
            nodes.append(f'<node id="{node}" lat="{south + dy:.6f}" lon="{west + dx:.6f}" version="1"/>')
        refs = "".join(f'<nd ref="{each}"/>' for each in [*ids, ids[0]])
        said = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        ways.append(f'<way id="{n + 1}" version="1">{refs}{said}</way>')
    return f'<osm version="0.6">{"".join(nodes)}{"".join(ways)}</osm>'
