"""Encoders: what turns images, texts and places into vectors. They are chosen by name; see `registry`."""

from retrieval.encoders.base import Encoder
from retrieval.encoders.registry import check_encoder, load_encoder

__all__ = ["Encoder", "check_encoder", "load_encoder"]
