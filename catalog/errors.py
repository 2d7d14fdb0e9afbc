"""Errors of the catalog. Every message says what was wrong, where, and what to do."""


class CatalogError(Exception):
    """A release cannot be built or read as asked."""
