"""Fetching over HTTP from services that throttle, fail and send invalid responses.

`rate_limiter` keeps one limit a host over all processes of a run; `client` sends requests and repeats them; `responses`
checks the tiles that come back; `tile_cache` keeps valid responses, so that a killed run requests nothing twice.
"""
