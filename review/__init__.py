"""The page in which a person settles alignments, places tie points and curates pairs.

It reads a workspace, and writes tie points, verdicts and its own journal. The ledger is read-only to it, and a run may
go on beside it: what a person wrote counts from the next run on.
"""
