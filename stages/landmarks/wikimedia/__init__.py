"""Wikidata, Wikipedia and Commons: their APIs, asked within their rules, and the sources of landmarks made of them.

`answers` reads what they say, `session` asks; `wikidata`, `wikipedia` and `commons` are the sources.
"""
