"""Encoding items: what of them is encoded, in batches as an encoder wants them, and a check of what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.benchmark import Items, Modality
from retrieval.encoders.base import Encoder
from retrieval.errors import RetrievalError
from retrieval.images import read_image
from retrieval.vectors import Float32


def items_of(*sides: Mapping[Modality, Items]) -> dict[Modality, Items]:
    """Return the items of all sides, each id once.

    Args:
        sides: Such as queries and galleries; an id of a modality is the same item on each of them.

    Returns:
        By modality, those without an item left out; landmarks are unknown.
    """
    found: dict[Modality, Items] = {}
    for modality in dict.fromkeys(name for side in sides for name in side):
        places = {
            name: (side[modality], position)
            for side in sides
            if modality in side
            for position, name in enumerate(side[modality].ids)
        }
        if places:
            found[modality] = _chosen(places)
    return found


def _chosen(places: Mapping[str, tuple[Items, int]]) -> Items:
    chosen = list(places.values())
    lonlat = None
    if all(items.lonlat is not None for items, _ in chosen):
        lonlat = np.array([items.lonlat[n] for items, n in chosen if items.lonlat is not None])

    def content(position: int) -> Path | str:
        items, inside = chosen[position]
        if items.content is None:
            raise RetrievalError(f"{items.ids[inside]} has no content that could be encoded")
        return items.content(inside)

    return Items(list(places), np.full(len(chosen), -1), lonlat, content)


def content_of(items: Items, modality: Modality, position: int) -> Path | str | list[float]:
    """Return what is encoded of an item: the path of an image, a text, or longitude and latitude in degrees.

    Args:
        items: Of the modality.
        modality: One of a benchmark's modalities.
        position: Of the item, from 0.

    Raises:
        RetrievalError: The item has no content.
    """
    if modality == "coordinates":
        if items.lonlat is None:
            raise RetrievalError("the items of coordinates have no coordinates")
        return [float(value) for value in items.lonlat[position]]
    if items.content is None:
        raise RetrievalError(f"the {modality} items have no content that could be encoded")
    return items.content(position)


def encode(encoder: Encoder, modality: Modality, contents: Sequence[Any]) -> Float32:
    """Encode contents, as many at once as the encoder wants.

    Args:
        encoder: The encoder.
        modality: Of the contents.
        contents: One or more, as `content_of` returns them.

    Returns:
        (N, D) float32, in their order.

    Raises:
        RetrievalError: The encoder does not encode this modality, an image cannot be read, or what the encoder gave is
            no table of finite numbers.
    """
    if modality not in encoder.modalities:
        known = ", ".join(sorted(encoder.modalities))
        raise RetrievalError(f"the encoder {encoder.name} does not encode {modality}; it encodes {known}")
    starts = range(0, len(contents), encoder.batch)
    made = [_encoded(encoder, modality, contents[start : start + encoder.batch]) for start in starts]
    lengths = {each.shape[1] for each in made}
    if len(lengths) > 1:
        raise RetrievalError(f"the encoder {encoder.name} gave vectors of several lengths: {sorted(lengths)}")
    return np.concatenate(made)


def _encoded(encoder: Encoder, modality: Modality, contents: Sequence[Any]) -> Float32:
    if modality == "coordinates":
        made = encoder.encode_places(np.array(contents, np.float64))
    elif modality == "text":
        made = encoder.encode_texts(contents)
    else:
        made = encoder.encode_images([read_image(path) for path in contents], modality)
    return checked(encoder.name, made, len(contents))


def checked(encoder: str, made: Any, count: int) -> Float32:
    """Return what an encoder gave as float32, if it is a table (`count`, D) of finite numbers.

    Args:
        encoder: Its name, for the message.
        made: What it gave.
        count: How many items it was given.

    Raises:
        RetrievalError: It is anything else.
    """
    vectors = np.asarray(made, np.float32)
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise RetrievalError(
            f"the encoder {encoder} gave {vectors.shape} for {count} items, or values that are not finite; it must "
            "give (N, D)"
        )
    return vectors
