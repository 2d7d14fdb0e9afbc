"""The named map styles. `named("web-light")` returns one; `NAMES` lists them."""

from __future__ import annotations

from collections.abc import Callable

from cartography.scene import RoadKind
from cartography.style import AREA_ORDER, Colour, FillStyle, Generalisation, LineStyle, PoiStyle, Style, TextStyle
from cartography.style_parts import ITALIC, PIN_COLOURS, SANS, SERIF, WEB, WEB_BOLD, fills, grey, place_texts, ramp


def web_light() -> Style:
    """Commercial manner A: pale grey blocks, white roads of true width, yellow main roads, coloured pins."""
    road: dict[RoadKind, Colour] = {
        "motorway": (252, 214, 118), "primary": (253, 236, 170), "secondary": (255, 255, 255),
        "tertiary": (255, 255, 255), "residential": (255, 255, 255), "service": (252, 252, 253),
        "pedestrian": (250, 250, 250), "track": (246, 246, 244), "path": (150, 200, 160),
    }  # fmt: skip
    return Style(
        name="web-light",
        background=(241, 243, 244),
        areas=fills(
            {
                "commercial": (250, 243, 232),
                "industrial": (236, 238, 242),
                "public": (240, 240, 246),
                "forest": (197, 226, 203),
                "scrub": (214, 234, 215),
                "grass": (222, 240, 222),
                "park": (190, 228, 198),
                "cemetery": (206, 230, 208),
                "pitch": (180, 222, 190),
                "playground": (198, 230, 204),
                "wetland": (203, 228, 214),
                "sand": (249, 240, 214),
                "rock": (232, 232, 228),
                "glacier": (246, 250, 252),
                "parking": (236, 239, 243),
                "square": (247, 247, 244),
                "water": (158, 205, 238),
            }
        ),
        waterway=LineStyle((158, 205, 238), 1.0, 1.5),
        building=FillStyle((230, 232, 235), (216, 219, 224), 1.0),
        roads=ramp(road, (222, 225, 230), 0.8, 1.15),
        rails={
            "rail": LineStyle((178, 182, 190), min_px=1.6, max_px=2.0),
            "tram": LineStyle((196, 199, 206), max_px=1.2),
        },
        road_text=TextStyle((92, 98, 108), 12, fonts=WEB),
        shield=(70, 110, 200),
        water_text=TextStyle((84, 140, 190), 11, fonts=ITALIC),
        places=place_texts((60, 64, 72), 13, WEB_BOLD),
        pois=PoiStyle(PIN_COLOURS, "drop", 15, TextStyle((86, 92, 104), 11.5, fonts=WEB)),
        generalisation=Generalisation(buildings_omitted=0.3, smaller_omitted=40, label_density=0.8),
    )


def web_muted() -> Style:
    """Commercial manner B: nearly white, blocks and buildings a few levels apart, little colour."""
    road: dict[RoadKind, Colour] = {
        k: (255, 255, 255)
        for k in ("motorway", "primary", "secondary", "tertiary", "residential", "service", "pedestrian")
    }
    return Style(
        name="web-muted",
        background=(246, 246, 247),
        areas=fills(
            {
                "commercial": (248, 246, 241),
                "forest": (232, 240, 230),
                "park": (230, 241, 230),
                "grass": (240, 245, 238),
                "cemetery": (236, 241, 235),
                "pitch": (226, 238, 228),
                "sand": (248, 245, 236),
                "rock": (240, 240, 239),
                "glacier": (250, 251, 252),
                "water": (211, 224, 232),
                "wetland": (230, 238, 236),
            }
        ),
        waterway=LineStyle((211, 224, 232), 1.0, 1.2),
        building=FillStyle((240, 240, 241), (234, 234, 236), 1.0),
        roads=ramp(road, (236, 236, 238), 0.7, 1.3) | {"path": LineStyle((236, 236, 236), 0.6, 1.0, 2.0)},
        rails={"rail": LineStyle((222, 222, 226), min_px=1.4, max_px=1.8)},
        road_text=TextStyle((150, 152, 158), 11.5, fonts=WEB),
        shield=(180, 184, 194),
        water_text=TextStyle((160, 180, 196), 10.5, fonts=ITALIC),
        places=place_texts((130, 132, 138), 12.5, WEB_BOLD),
        pois=PoiStyle({k: (150, 156, 166) for k in PIN_COLOURS}, "disc", 9, TextStyle((140, 144, 150), 11, fonts=WEB)),
        generalisation=Generalisation(
            buildings_omitted=0.5, smaller_omitted=80, paths_omitted=0.5, simplify_px=0.5, label_density=0.5
        ),
    )


def osm_carto() -> Style:
    """In the manner of OpenStreetMap's standard layer: everything drawn, land use in colours, brown buildings."""
    road: dict[RoadKind, Colour] = {
        "motorway": (232, 146, 162), "primary": (252, 214, 164), "secondary": (247, 250, 191),
        "tertiary": (255, 255, 255), "residential": (255, 255, 255), "service": (255, 255, 255),
        "pedestrian": (221, 221, 233), "track": (172, 132, 70), "path": (250, 128, 114),
    }  # fmt: skip
    return Style(
        name="osm-carto",
        background=(242, 239, 233),
        areas=fills(
            {
                "residential": (224, 223, 223),
                "commercial": (242, 218, 217),
                "industrial": (235, 219, 232),
                "public": (255, 255, 229),
                "farmland": (238, 240, 213),
                "orchard": (174, 223, 163),
                "vineyard": (174, 223, 163),
                "grass": (205, 235, 176),
                "scrub": (200, 215, 171),
                "forest": (173, 209, 158),
                "rock": (226, 223, 218),
                "sand": (245, 233, 198),
                "bare": (238, 229, 220),
                "glacier": (221, 236, 236),
                "wetland": (214, 229, 208),
                "construction": (199, 199, 180),
                "park": (200, 250, 204),
                "garden": (205, 235, 176),
                "cemetery": (170, 203, 175),
                "square": (221, 221, 233),
                "parking": (238, 238, 238),
                "playground": (223, 252, 226),
                "pitch": (136, 224, 190),
                "water": (170, 211, 223),
            }
        ),
        waterway=LineStyle((170, 211, 223), 1.0, 1.5),
        building=FillStyle((217, 208, 201), (183, 167, 152), 1.0),
        tree=(173, 209, 158),
        barrier=LineStyle((160, 168, 150), min_px=1.0, max_px=1.0),
        roads=ramp(road, (190, 186, 180), 1.0, 1.0),
        rails={
            "rail": LineStyle((112, 112, 112), min_px=2.6, max_px=3.0),
            "tram": LineStyle((104, 104, 104), min_px=1.2, max_px=1.5),
        },
        sleepers=LineStyle((255, 255, 255), min_px=1.4, max_px=1.6, dash_px=(7, 7)),
        road_text=TextStyle((40, 40, 40), 10),
        shield=(200, 90, 110),
        water_text=TextStyle((77, 128, 179), 11, fonts=ITALIC),
        places=place_texts((34, 34, 34), 12.5, SANS),
        pois=PoiStyle({k: (115, 74, 8) for k in PIN_COLOURS}, "square", 8, TextStyle((115, 74, 8), 9.5)),
    )


def topographic() -> Style:
    """A topographic sheet: contours, hatched rock and wetland, black buildings, fine lines."""
    paper: Colour = (253, 252, 246)
    road: dict[RoadKind, Colour] = {
        "motorway": (238, 150, 90), "primary": (240, 120, 100), "secondary": (250, 224, 110),
        "tertiary": (255, 246, 170),
        "residential": (255, 255, 255), "service": (255, 255, 255), "pedestrian": (255, 255, 255),
        "track": (60, 60, 60), "path": (60, 60, 60),
    }  # fmt: skip
    areas = fills(
        {
            "forest": (200, 226, 178),
            "scrub": (220, 236, 200),
            "park": (214, 234, 196),
            "orchard": (228, 240, 208),
            "glacier": (238, 246, 250),
            "sand": (250, 243, 220),
            "cemetery": (224, 236, 214),
        }
    )
    areas["rock"] = FillStyle((240, 238, 232), None, hatch=(140, 132, 122), hatch_px=5)
    areas["wetland"] = FillStyle(None, None, hatch=(120, 170, 210), hatch_px=5)
    areas["vineyard"] = FillStyle((236, 240, 214), None, hatch=(150, 180, 110), hatch_px=7)
    areas["water"] = FillStyle((190, 222, 240), (60, 130, 190), 1.0)
    return Style(
        name="topographic",
        background=paper,
        areas=areas,
        contour=LineStyle((206, 160, 116), max_px=1.0),
        index_contour=LineStyle((186, 130, 84), min_px=1.6, max_px=1.6),
        waterway=LineStyle((80, 150, 206), 0.7, 1.2, 3.0),
        building=FillStyle((60, 58, 58), (20, 20, 20), 0.8),
        tree=(120, 170, 100),
        barrier=LineStyle((120, 120, 110), max_px=1.0),
        roads=ramp(road, (50, 48, 46), 1.0, 0.8) | {"path": LineStyle((60, 60, 60), 0.4, 1.0, 1.0, dash_px=(5, 2))},
        rails={"rail": LineStyle((190, 40, 40), min_px=2.0, max_px=2.4), "tram": LineStyle((190, 40, 40), max_px=1.2)},
        road_text=TextStyle((40, 40, 40), 9, halo=paper, fonts=SERIF),
        shield=(120, 120, 180),
        water_text=TextStyle((40, 100, 170), 11, halo=paper, fonts=ITALIC),
        places=place_texts((10, 10, 10), 13, SERIF),
        generalisation=Generalisation(smaller_omitted=20, simplify_px=0.5, label_density=0.6),
    )


def plan() -> Style:
    """A monochrome town plan: outlines only, hatched buildings."""
    ink: Colour = (30, 30, 30)
    white: Colour = (255, 255, 255)
    kinds: tuple[RoadKind, ...] = (
        "motorway",
        "primary",
        "secondary",
        "tertiary",
        "residential",
        "service",
        "pedestrian",
    )
    areas = {k: FillStyle(None, grey(170), 1.0) for k in AREA_ORDER if k not in ("residential", "commercial")}
    areas["water"] = FillStyle(grey(236), ink, 1.0)
    areas["forest"] = FillStyle(grey(246), grey(150), 1.0)
    return Style(
        name="plan",
        background=white,
        areas=areas,
        contour=LineStyle(grey(205), max_px=1.0),
        waterway=LineStyle(grey(110), 1.0, 1.0, 2.0),
        building=FillStyle(grey(232), ink, 1.2, hatch=grey(150), hatch_px=4),
        barrier=LineStyle(grey(130), max_px=1.0),
        roads={k: LineStyle(white, 1.0, 2.0, casing=ink, casing_px=0.9) for k in kinds}
        | {
            "track": LineStyle(grey(90), 0.5, 1.0, 1.2, dash_px=(6, 3)),
            "path": LineStyle(grey(90), 0.3, 1.0, 1.0, dash_px=(3, 3)),
        },
        rails={"rail": LineStyle(ink, min_px=2.4, max_px=2.4), "tram": LineStyle(ink, max_px=1.0)},
        sleepers=LineStyle(white, min_px=1.2, max_px=1.2, dash_px=(6, 6)),
        road_text=TextStyle(ink, 9.5, halo=white, fonts=SERIF),
        water_text=TextStyle(ink, 10, halo=white, fonts=ITALIC),
        places=place_texts(ink, 12, SERIF),
        generalisation=Generalisation(label_density=0.4),
    )


def dark() -> Style:
    """A dark commercial style: roads lighter than the ground."""
    road: dict[RoadKind, Colour] = {
        "motorway": (92, 88, 70), "primary": (74, 80, 92), "secondary": (66, 72, 84), "tertiary": (58, 64, 76),
        "residential": (54, 60, 70), "service": (48, 53, 62), "pedestrian": (48, 53, 62), "track": (46, 50, 56),
        "path": (58, 70, 66),
    }  # fmt: skip
    return Style(
        name="dark",
        background=(33, 37, 43),
        areas=fills(
            {
                "commercial": (40, 42, 50),
                "industrial": (38, 41, 50),
                "forest": (32, 46, 42),
                "park": (34, 50, 44),
                "grass": (36, 46, 44),
                "pitch": (38, 56, 50),
                "sand": (58, 56, 50),
                "rock": (44, 46, 48),
                "glacier": (70, 76, 84),
                "water": (18, 28, 42),
            }
        ),
        waterway=LineStyle((18, 28, 42), 1.0, 1.5),
        building=FillStyle((44, 48, 56), (54, 58, 68), 1.0),
        roads=ramp(road, (26, 29, 34), 0.9, 1.1),
        rails={"rail": LineStyle((84, 86, 94), min_px=1.4, max_px=1.8)},
        road_text=TextStyle((150, 156, 168), 11.5, halo=(24, 27, 32), fonts=WEB),
        shield=(96, 100, 120),
        water_text=TextStyle((80, 110, 150), 11, halo=(18, 28, 42), fonts=ITALIC),
        places={
            k: TextStyle(t.colour, t.size_px, (24, 27, 32), fonts=t.fonts)
            for k, t in place_texts((190, 196, 206), 13, WEB_BOLD).items()
        },
        pois=PoiStyle(
            {k: (104, 116, 140) for k in PIN_COLOURS},
            "disc",
            10,
            TextStyle((140, 148, 164), 11, (24, 27, 32), fonts=WEB),
        ),
        generalisation=Generalisation(buildings_omitted=0.2, smaller_omitted=40, label_density=0.6),
    )


_STYLES: dict[str, Callable[[], Style]] = {
    "web-light": web_light, "web-muted": web_muted, "osm-carto": osm_carto, "topographic": topographic,
    "plan": plan, "dark": dark,
}  # fmt: skip

NAMES: tuple[str, ...] = tuple(_STYLES)


def named(name: str) -> Style:
    """Return a style by its name.

    Args:
        name: One of `NAMES`.

    Returns:
        The style.

    Raises:
        ValueError: There is no such style; the message lists them.
    """
    if name not in _STYLES:
        raise ValueError(f"no map style is called {name!r}; choose one of {', '.join(NAMES)}")
    return _STYLES[name]()
