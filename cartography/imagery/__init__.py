"""The simulated visible image of a scene: it need not fool a person, but has a real one's structure and clutter."""

from cartography.imagery.conditions import Conditions
from cartography.imagery.render import render_image
from cartography.imagery.textures import Textures

__all__ = ["Conditions", "Textures", "render_image"]
