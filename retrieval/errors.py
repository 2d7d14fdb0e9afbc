"""Errors of retrieval. Every message says what was wrong, where, and what to do."""


class RetrievalError(Exception):
    """Embeddings, a benchmark or a release cannot be used as asked."""
