// The three panels of a raster pair: map, image and overlay; which is active, which is alone, what is drawn in them.
/* global ol */
import { h } from "/dom.js";
import { apply, toPixel, toView } from "/geometry.js";
import { Loupe } from "/loupe.js";
import { interact, Marks, place } from "/marks.js";
import { MODES, Overlay } from "/overlay.js";
import { fitWhole, link, makeView, pixels, tiles } from "/views.js";

export const PANELS = [["map", "Map"], ["visible", "Image"], ["overlay", "Overlay"]];
/** The raster that a panel shows: points of the overlay are points of the image. */
export const sideOf = (panel) => (panel === "map" ? "map" : "visible");
const OVERLAY_MS = 400; // warping the map anew is work for the browser: a few times a second are enough

export class Panels extends EventTarget {
  /** `homography()` leads from map to image pixels, null while there is none. */
  constructor(main, site, homography) {
    super();
    this._site = site;
    this._homography = homography;
    this._overlaid = 0;
    this.active = "map";
    this.tool = "pan";
    this.sizes = { map: site.sides.map.size, visible: site.sides.visible.size, overlay: site.sides.visible.size };
    this.frames = Object.fromEntries(PANELS.map(([id, title], at) => [id, this._frame(id, title, at + 1)]));
    this.element = h("div", { class: "panels" }, Object.values(this.frames));
    main.append(this.element);
    this._makeViews();
    this._makeModes();
    this._realign = link(this.views.map.getView(), this.views.visible.getView(), this.views.overlay.getView(), homography);
    this._realign();
  }

  _frame(id, title, number) {
    return h("section", { class: "panel", "data-panel": id, "aria-label": title },
      h("header", {}, h("b", {}, title), h("span", { class: "at" }), h("span", { class: "space" }), id === "overlay" ? h("span", { class: "modes" }) : null, h("button", { class: "icon", title: `maximise (${number})`, onclick: () => this.maximise(id) }, "⤢")),
      h("div", { class: "view", tabIndex: -1 }), h("div", { class: "crosshair", "aria-hidden": "true" }), id === "overlay" ? h("p", { class: "note", role: "status", hidden: true }) : null);
  }

  _makeViews() {
    const site = this._site;
    const projections = { map: pixels(`map ${site.name}`, this.sizes.map), visible: pixels(`image ${site.name}`, this.sizes.visible) };
    for (const projection of Object.values(projections)) ol.proj.addProjection(projection);
    const sources = { map: tiles(site, "map", projections.map), visible: tiles(site, "visible", projections.visible) };
    [this.views, this.marks, this.loupes, this._held] = [{}, {}, {}, {}];
    for (const [id] of PANELS) {
      const of = sideOf(id);
      const [width, height] = this.sizes[id];
      const layer = new ol.layer.Tile({ source: sources[of], extent: [0, -height, width, 0] });
      this.views[id] = makeView(this.frames[id].querySelector(".view"), projections[of], this.sizes[id], [layer]);
      fitWhole(this.views[id], this.sizes[id]);
    }
    this.overlay = new Overlay(this.views.overlay, site, projections.visible, this.frames.overlay.querySelector(".note"));
    for (const [id] of PANELS) {
      this.marks[id] = new Marks(this.views[id], sideOf(id));
      this.marks[id].drawAutomatic(site.automatic);
      this.marks[id].drawRegions(site.regions, site.aligned.homography);
      this.loupes[id] = new Loupe(this.frames[id], sources[sideOf(id)], projections[sideOf(id)], this.sizes[id]);
      this.frames[id].addEventListener("pointerdown", () => this.activate(id), true);
      this.views[id].on("pointermove", (event) => this._drawAt(id, toPixel(event.coordinate)));
    }
  }

  _makeModes() {
    const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, title: "how much of the map", "aria-label": "how much of the map", oninput: () => this.overlay.show(this.overlay.mode, Number(slider.value)) });
    this._chooser = h("select", { title: "manner of the overlay (O)", "aria-label": "manner of the overlay", onchange: () => (this.overlay.show(this._chooser.value), this._chooser.blur()) }, MODES.map(([mode, words]) => h("option", { value: mode }, words)));
    this.frames.overlay.querySelector(".modes").append(this._chooser, slider);
  }

  /** Let a person place and drag points: `actionsOf(panel)` are those of `interact`. */
  interact(actionsOf) {
    for (const [id] of PANELS) this._held[id] = interact(this.views[id], sideOf(id), actionsOf(id));
  }

  /** Stop the drag that is under way; return the name of its point, null for none. */
  cancelDrag() {
    for (const [id] of PANELS) this.loupes[id].hide();
    return PANELS.map(([id]) => this._held[id].cancel()).find((name) => name !== null) ?? null;
  }

  /** Draw all that depends on the points. */
  draw(points, fit, draft) {
    this.drawMarks(points, fit, draft);
    for (const [id] of PANELS) this.marks[id].drawExpected(points.list.length ? fit : null, this.sizes.map, id !== "overlay");
    clearTimeout(this._waiting);
    this._waiting = setTimeout(() => {
      this._overlaid = Date.now();
      this.overlay.by(this._homography());
    }, Math.max(0, OVERLAY_MS - (Date.now() - this._overlaid)));
  }

  drawMarks(points, fit, draft) {
    for (const [id] of PANELS) this.marks[id].draw(points.list, points.selected, fit, draft);
  }

  /** Say where the pointer is, and what was decided of the region there while regions are shown. */
  _drawAt(id, pixel) {
    const at = this.frames[id].querySelector(".at");
    let words = pixel.map((value) => value.toFixed(1)).join(", ");
    if (this.marks[id].regions.getVisible()) {
      const matrix = this._site.aligned.homography;
      const [x, y] = (id === "map" ? matrix && apply(matrix, pixel) : pixel) ?? [NaN, NaN];
      const region = this._site.regions.find(([left, top, right, bottom]) => x >= left && x <= right && y >= top && y <= bottom);
      if (region) words += ` · ${region[4] ? "accepted" : `refused: ${region[5]}`}`;
    }
    at.textContent = words;
    at.title = words;
  }

  activate(id) {
    this.active = id;
    for (const [each, frame] of Object.entries(this.frames)) frame.classList.toggle("active", each === id);
  }

  /** Show a panel alone, or all again. */
  maximise(id) {
    const alone = this.alone === id ? "" : id;
    this.element.dataset.max = alone;
    if (alone) this.activate(alone);
    for (const [each, frame] of Object.entries(this.frames)) {
      frame.classList.toggle("hidden", alone !== "" && each !== alone);
      this.views[each].updateSize();
    }
  }

  /** The panel that is shown alone, empty for none. */
  get alone() {
    return this.element.dataset.max ?? "";
  }

  setTool(tool) {
    this.tool = tool;
    this.element.dataset.tool = tool;
    this.dispatchEvent(new Event("change"));
  }

  /** Show or hide a layer in all panels: "automatic", "regions", "heat" or "arrows". */
  toggle(layer) {
    const on = !this.shows(layer);
    for (const [id] of PANELS) this.marks[id][layer].setVisible(on);
    this.dispatchEvent(new Event("change"));
  }

  shows(layer) {
    return this.marks.map[layer].getVisible();
  }

  nextMode() {
    const at = MODES.findIndex(([mode]) => mode === this.overlay.mode);
    this._chooser.value = MODES[(at + 1) % MODES.length][0];
    this.overlay.show(this._chooser.value);
  }

  get view() {
    return this.views[this.active].getView();
  }

  whole() {
    fitWhole(this.views[this.active], this.sizes[this.active]);
  }

  zoom(times) {
    this.view.setResolution(this.view.getResolution() / times);
  }

  pan(dx, dy) {
    const { view } = this;
    const step = 80 * view.getResolution() * Math.max(Math.abs(dx), Math.abs(dy), 1) ** 0.5;
    const [turn, [x, y]] = [view.getRotation(), view.getCenter()];
    const [sx, sy] = [Math.sign(dx) * step, -Math.sign(dy) * step];
    view.setCenter([x + sx * Math.cos(turn) - sy * Math.sin(turn), y + sx * Math.sin(turn) + sy * Math.cos(turn)]);
  }

  /** Bring a point to the middle: of the active side where the views are linked, else of both. */
  showPoint(point) {
    for (const side of ["map", "visible"]) if (!this._homography() || side === sideOf(this.active)) this.views[side].getView().setCenter(toView(place(point, side)));
  }

  /** Take the sizes that the frames have by now. */
  settle() {
    for (const [id] of PANELS) this.views[id].updateSize();
    fitWhole(this.views.visible, this.sizes.visible);
  }

  close() {
    clearTimeout(this._waiting);
    this.overlay.close();
    for (const [id] of PANELS) {
      this.loupes[id].close();
      this.views[id].setTarget(null);
    }
  }
}
