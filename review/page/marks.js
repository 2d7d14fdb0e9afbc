// What is drawn over the rasters: tie points, residuals, automatic tie points, the expected error; and placing points.
/* global ol */
import { apply, inverse, toPixel, toView } from "/geometry.js";

const HIT = 10; // screen px around a point that are its own
const KEYS = { map: ["map_x", "map_y"], visible: ["visible_x", "visible_y"] };
const COLOURS = { agrees: "#19c3a6", contradicts: "#ff5252", loose: "#ffb74d", free: "#c9d1d9" };

const cross = (colour, radius, width) => [
  new ol.style.Style({ image: new ol.style.Circle({ radius: radius + 0.5, stroke: new ol.style.Stroke({ color: "#000c", width: width + 2.5 }) }) }),
  new ol.style.Style({ image: new ol.style.Circle({ radius, stroke: new ol.style.Stroke({ color: colour, width }) }) }),
  new ol.style.Style({ image: new ol.style.RegularShape({ points: 4, radius: radius - 1, radius2: 0, stroke: new ol.style.Stroke({ color: "#000a", width: 2.5 }) }) }),
  new ol.style.Style({ image: new ol.style.RegularShape({ points: 4, radius: radius - 1, radius2: 0, stroke: new ol.style.Stroke({ color: colour, width: 1.2 }) }) }),
];

const dashed = (radius) => [["#000a", 4], ["#ffe066", 2]].map(([color, width]) => new ol.style.Style({ image: new ol.style.Circle({ radius, stroke: new ol.style.Stroke({ color, width, lineDash: [5, 5] }) }) }));

const lettering = (text, colour, offset) => new ol.style.Style({ text: new ol.style.Text({ text, font: "600 12px system-ui, 'DejaVu Sans', sans-serif", offsetX: offset, offsetY: -offset, textAlign: "left", fill: new ol.style.Fill({ color: colour }), stroke: new ol.style.Stroke({ color: "#000d", width: 3.5 }) }) });

export const place = (point, side) => KEYS[side].map((key) => point[key]);
export const places = (side, [x, y]) => ({ [KEYS[side][0]]: x, [KEYS[side][1]]: y });

/** The layers of one view. `side` is "map" or "visible". */
export class Marks {
  constructor(map, side) {
    this.side = side;
    const layer = (zIndex, style) => {
      const made = new ol.layer.Vector({ source: new ol.source.Vector({ wrapX: false }), style, zIndex, updateWhileAnimating: true, updateWhileInteracting: true });
      map.addLayer(made);
      return made;
    };
    this.regions = layer(4);
    this.heat = layer(5);
    this.automatic = layer(6);
    this.arrows = layer(7);
    this.points = layer(9);
    this.hint = layer(8);
    for (const each of [this.automatic, this.regions, this.heat]) each.setVisible(false);
  }

  /** Draw the points; `fit` says what stands of each. */
  draw(list, selected, fit, draft = null) {
    const said = new Map((fit?.points ?? []).map((row) => [row.name, row]));
    const features = [];
    const arrows = [];
    list.forEach((point, at) => {
      const row = said.get(point.name);
      const colour = !row || fit.homography === null ? COLOURS.free : row.contradicts ? COLOURS.contradicts : row.agrees ? COLOURS.agrees : COLOURS.loose;
      const feature = new ol.Feature({ geometry: new ol.geom.Point(toView(place(point, this.side))), name: point.name });
      const chosen = point.name === selected;
      feature.setStyle([...cross(chosen ? "#ffe066" : colour, chosen ? 11 : 8, chosen ? 2.5 : 2), lettering(String(at + 1), chosen ? "#ffe066" : colour, 10)]);
      features.push(feature);
      if (row && fit.homography && this.side === "visible" && row.dx !== null) arrows.push(this._arrow(point, row, colour));
    });
    if (draft) {
      const feature = new ol.Feature({ geometry: new ol.geom.Point(toView(place(draft.point, this.side))), name: draft.point.name });
      feature.setStyle(draft.side === this.side ? [...cross("#ffe066", 11, 2.5), lettering("?", "#ffe066", 10)] : [...dashed(14), ...cross("#ffe066", 6, 1.5)]);
      features.push(feature);
    }
    this.points.getSource().clear(true);
    this.points.getSource().addFeatures(features);
    this.arrows.getSource().clear(true);
    this.arrows.getSource().addFeatures(arrows);
  }

  _arrow(point, row, colour) {
    const to = toView([point.visible_x, point.visible_y]);
    const feature = new ol.Feature({ geometry: new ol.geom.Point(to) });
    feature.setStyle((_, resolution) => {
      const longer = 20 * resolution; // a residual of 1 px is drawn 20 screen px long
      const line = new ol.geom.LineString([[to[0] - row.dx * longer, to[1] + row.dy * longer], to]);
      return [["#000a", 4], [colour, 2]].map(([color, width]) => new ol.style.Style({ geometry: line, stroke: new ol.style.Stroke({ color, width }) }));
    });
    return feature;
  }

  /** Draw automatic tie points: [map x, y, visible x, y, used]. */
  drawAutomatic(rows) {
    const style = ["#ff8a65", "#64d8ff"].map((color) => new ol.style.Style({ image: new ol.style.Circle({ radius: 2.5, fill: new ol.style.Fill({ color }), stroke: new ol.style.Stroke({ color: "#0008", width: 1 }) }) }));
    const at = this.side === "map" ? 0 : 2;
    this.automatic.getSource().addFeatures(rows.map((row) => {
      const feature = new ol.Feature({ geometry: new ol.geom.Point(toView([row[at], row[at + 1]])) });
      feature.setStyle(style[row[4] ? 1 : 0]);
      return feature;
    }));
  }

  /** Draw what was decided of each region: [left, top, right, bottom (image px), accepted, reason]. */
  drawRegions(rows, homography) {
    const styles = [["#ff5252", "#ff525233"], ["#4cc38a", "#4cc38a14"]].map(([color, fill]) => new ol.style.Style({ stroke: new ol.style.Stroke({ color, width: 1.5 }), fill: new ol.style.Fill({ color: fill }) }));
    const back = this.side === "map" ? homography && inverse(homography) : null;
    if (this.side === "map" && !back) return;
    this.regions.getSource().addFeatures(rows.map(([left, top, right, bottom, accepted]) => {
      const corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
      const there = back ? corners.map((corner) => apply(back, corner)).filter((corner) => corner) : corners;
      const feature = new ol.Feature({ geometry: new ol.geom.Polygon([[...there, there[0]].map(toView)]) });
      feature.setStyle(styles[accepted ? 1 : 0]);
      return feature;
    }));
  }

  /** Draw the expected error over the map, which has this size, and where a further point would help most. */
  drawExpected(fit, size, hinted) {
    const heat = this.heat.getSource();
    heat.clear(true);
    if (fit?.expected_px) {
      const rows = fit.expected_px;
      rows.forEach((row, j) => row.forEach((value, i) => {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]].map(([x, y]) => [(x / row.length) * size[0] - 0.5, (y / rows.length) * size[1] - 0.5]);
        const there = this.side === "map" ? corners : corners.map((corner) => apply(fit.homography, corner));
        if (there.some((corner) => corner === null)) return;
        const feature = new ol.Feature({ geometry: new ol.geom.Polygon([[...there, there[0]].map(toView)]) });
        feature.setStyle(new ol.style.Style({ fill: new ol.style.Fill({ color: heatColour(value) }) }));
        heat.addFeature(feature);
      }));
    }
    const hint = this.hint.getSource();
    hint.clear(true);
    const where = fit?.place?.[this.side === "map" ? "map" : "visible"];
    if (hinted && where && !fit.accepted) {
      const feature = new ol.Feature({ geometry: new ol.geom.Point(toView(where)) });
      feature.setStyle([...dashed(13), lettering("next here", "#ffe066", 14)]);
      hint.addFeature(feature);
    }
  }
}

/** Colour of an expected error: green below 1 px, yellow at 2.5, red from 5 on. */
function heatColour(value) {
  const share = Math.min(Math.max((value ?? 99) - 0.5, 0) / 4.5, 1);
  return `hsla(${Math.round(140 * (1 - share))}, 90%, 50%, 0.38)`;
}

/**
 * Let a person select, drag and place points in a view. `actions` has `placing()`, `isDraft(name)`, `selected(name)`, `begin(name)`,
 * `dragged(name, pixel)`, `end(name)`, `placed(pixel)` and `list()`.
 */
export function interact(map, side, actions) {
  let held = null;
  const near = (pixel) => {
    let best = null;
    let closest = HIT;
    for (const point of actions.list()) {
      const at = map.getPixelFromCoordinate(toView(place(point, side)));
      const distance = at ? Math.hypot(at[0] - pixel[0], at[1] - pixel[1]) : Infinity;
      if (distance <= closest) [best, closest] = [point, distance];
    }
    return best;
  };
  map.addInteraction(new ol.interaction.Pointer({
    handleDownEvent: (event) => {
      const point = event.originalEvent.button === 0 && !event.originalEvent.shiftKey ? near(event.pixel) : null;
      if (!point) return false;
      const at = toView(place(point, side));
      held = { name: point.name, offset: [at[0] - event.coordinate[0], at[1] - event.coordinate[1]], moved: false };
      actions.selected(point.name);
      return true;
    },
    handleDragEvent: (event) => {
      if (!held) return;
      if (!held.moved) actions.begin(held.name);
      held.moved = true;
      actions.dragged(held.name, toPixel([event.coordinate[0] + held.offset[0], event.coordinate[1] + held.offset[1]]));
    },
    handleUpEvent: (event) => {
      if (held?.moved) actions.end(held.name);
      else if (held && actions.isDraft(held.name)) actions.placed(toPixel(event.coordinate)); // a click on the dashed mark
      held = null;
      return false;
    },
  }));
  map.on("click", (event) => {
    if (event.originalEvent.button !== 0 || near(event.pixel)) return;
    if (actions.placing()) actions.placed(toPixel(event.coordinate));
  });
  map.on("pointermove", (event) => {
    map.getTargetElement().classList.toggle("over-point", !event.dragging && near(event.pixel) !== null);
  });
  return {
    /** Stop a drag where it began: what Escape does. */
    cancel: () => {
      const name = held?.moved ? held.name : null;
      held = null;
      return name;
    },
  };
}
