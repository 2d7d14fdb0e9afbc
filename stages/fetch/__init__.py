"""Fetching from services that throttle, fail and lie: politely, resumably, believing nothing unchecked.

`gate` keeps one limit a host over all processes of a run; `client` asks and asks again; `answers` judges what comes
back; `tilestore` remembers good answers, so that a killed run asks for nothing twice.
"""
