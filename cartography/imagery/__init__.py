"""The simulated visible image of a scene: not to fool a person, but to carry the structure, clutter and omissions of a real one."""

from cartography.imagery.conditions import Conditions
from cartography.imagery.render import render_image
from cartography.imagery.textures import Textures

__all__ = ["Conditions", "Textures", "render_image"]
