"""JSON schemas of STAC extensions, as their authors publish them; NOTICE.md says whose they are."""
