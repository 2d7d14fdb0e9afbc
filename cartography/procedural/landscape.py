"""The fields of one landscape: where it is built up, wet, wooded, high; where rivers, railways, motorways run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cartography.hashing import generator, mix
from cartography.procedural.waves import WaveField

LandscapeName = Literal["city", "town", "village", "farmland", "forest", "coast", "mountain", "mixed"]


@dataclass(frozen=True)
class _Character:
    """Mean and spread of how built-up it is; thresholds above which lake, forest and rock lie; relief in metres."""

    built: float
    built_spread: float
    water: float
    forest: float
    rock: float
    relief: float


_CHARACTERS: dict[LandscapeName, _Character] = {
    "city": _Character(1.5, 0.35, 2.2, 2.6, 9.0, 15),
    "town": _Character(0.75, 0.5, 2.0, 1.6, 9.0, 40),
    "village": _Character(-0.1, 0.6, 1.9, 1.0, 9.0, 80),
    "farmland": _Character(-0.7, 0.5, 2.0, 1.3, 9.0, 40),
    "forest": _Character(-0.9, 0.5, 1.6, -0.3, 9.0, 150),
    "coast": _Character(0.6, 0.6, 0.2, 1.2, 2.2, 60),
    "mountain": _Character(-0.7, 0.7, 1.9, 0.1, 0.7, 700),
    "mixed": _Character(0.3, 1.0, 1.5, 0.9, 2.0, 150),
}
LANDSCAPES: tuple[LandscapeName, ...] = tuple(_CHARACTERS)


@dataclass(frozen=True)
class Landscape:
    """The fields of one seed. Every method takes points (N, 2) in metres and returns (N,)."""

    seed: int
    name: LandscapeName = "mixed"

    def __post_init__(self) -> None:
        if self.name not in _CHARACTERS:
            raise ValueError(f"no landscape is called {self.name!r}; choose one of {', '.join(LANDSCAPES)}")

    @property
    def relief(self) -> float:
        """Standard deviation of the elevation, metres."""
        return _CHARACTERS[self.name].relief

    def _field(self, salt: int, shortest: float, longest: float, waves: int = 7) -> WaveField:
        return WaveField(mix(self.seed, salt), shortest, longest, waves)

    @cached_property
    def _built(self) -> WaveField:
        return self._field(1, 900, 4000)

    @cached_property
    def _elevation(self) -> WaveField:
        return self._field(2, 250, 3500, 12)

    @cached_property
    def _wetness(self) -> WaveField:
        return self._field(3, 500, 3500, 9)

    @cached_property
    def _woods(self) -> WaveField:
        return self._field(4, 180, 2200, 10)

    @cached_property
    def river(self) -> WaveField:
        """Rivers run along the zero line of this field."""
        return self._field(5, 900, 6000)

    @cached_property
    def stream(self) -> WaveField:
        """Streams, likewise."""
        return self._field(6, 350, 2000, 8)

    @cached_property
    def railway(self) -> WaveField:
        """Railways, likewise: gentle curves."""
        return self._field(7, 3500, 8000, 5)

    @cached_property
    def motorway(self) -> WaveField:
        """Motorways, likewise."""
        return self._field(8, 3500, 9000, 5)

    @cached_property
    def river_width(self) -> float:
        """Metres."""
        return float(generator(self.seed, 9).choice([12.0, 25.0, 50.0, 90.0]))

    def built(self, points: np.ndarray) -> np.ndarray:
        """How built-up: about 2 in the centre of a city, 0 at the edge of a village, below 0 in the open.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            (N,).
        """
        character = _CHARACTERS[self.name]
        # Nobody builds on rock or above it.
        return (
            character.built + character.built_spread * self._built(points) - 3 * np.maximum(self.rock(points) + 0.5, 0)
        )

    def elevation(self, points: np.ndarray) -> np.ndarray:
        """Return the elevation above the datum.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            Metres (N,).
        """
        return self.relief * (self._elevation(points) + 2.5)

    def lake(self, points: np.ndarray) -> np.ndarray:
        """Positive in lakes and in the sea.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            (N,).
        """
        return self._wetness(points) - _CHARACTERS[self.name].water

    def forest(self, points: np.ndarray) -> np.ndarray:
        """Positive where trees stand close.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            (N,).
        """
        return self._woods(points) - _CHARACTERS[self.name].forest - np.maximum(self.built(points) + 0.2, 0) * 1.5

    def rock(self, points: np.ndarray) -> np.ndarray:
        """Positive on bare rock; above 1 under snow.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            (N,).
        """
        return self._elevation(points) - _CHARACTERS[self.name].rock

    def in_water(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Tell which points lie in a lake, the sea or a river, or near a river.

        Args:
            points: Positions (N, 2) in metres.
            margin: Metres from a river that count as in it.

        Returns:
            bool (N,).
        """
        in_river = self.river.distance_to(points) < self.river_width / 2 + margin
        return (self.lake(points) > -0.002 * margin) | in_river
