"""Random numbers that depend on what they are for, and on nothing else.

`unit(seed, salt, keys)` gives every key its own number in [0, 1), the same in every process, window and order.
The mixing function is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
"""

from __future__ import annotations

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def mix(*values: int) -> int:
    """Return a 63-bit key hashed from integers (which may be negative)."""
    state = 0
    for value in values:
        state = (state ^ (value & _MASK)) + _GOLDEN & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def unit(seed: int, salt: str, keys: np.ndarray) -> np.ndarray:
    """Return one number in [0, 1) for each key (N,): float64. `salt` names the decision.

    Args:
        seed: Seed of the run or the unit.
        salt: Name of the decision, so that two decisions about one key are independent.
        keys: Keys (N,) of features.

    Returns:
        float64 (N,) in [0, 1), the same in every process, window and order.
    """
    start = mix(seed, int.from_bytes(salt.encode()[:16], "little"))
    with np.errstate(over="ignore"):
        state = (np.asarray(keys).astype(np.uint64) ^ np.uint64(start)) + np.uint64(_GOLDEN)
        state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def unit_of(seed: int, salt: str, key: int) -> float:
    """Return the number in [0, 1) of one key; see `unit`.

    Args:
        seed: Seed of the run or the unit.
        salt: Name of the decision.
        key: Key of a feature.

    Returns:
        The number.
    """
    return float(unit(seed, salt, np.array([key], np.uint64))[0])


def generator(*values: int) -> np.random.Generator:
    """Return a generator seeded by integers."""
    return np.random.Generator(np.random.PCG64(mix(*values)))
