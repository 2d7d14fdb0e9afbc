// Placing and moving points: what clicks, drags, nudges, typed numbers and proposals do to them.
import { post } from "/api.js";
import { toast } from "/dom.js";
import { apply, inverse, toView } from "/geometry.js";
import { place, places } from "/marks.js";
import { freeName } from "/merge.js";
import { sideOf } from "/panels.js";

const now = () => new Date().toISOString().slice(0, 19) + "Z";
const inside = ([x, y], [width, height]) => [Math.min(Math.max(x, -0.5), width - 0.5), Math.min(Math.max(y, -0.5), height - 0.5)];
const otherOf = (side) => (side === "map" ? "visible" : "map");

export class Placing extends EventTarget {
  constructor({ path, site, points, panels, saver, fit, about, writable }) {
    super();
    Object.assign(this, { _path: path, _site: site, _points: points, _panels: panels, _saver: saver, _fit: fit, _about: about, _writable: writable });
    this.draft = null; // a point of which a person placed one side; the other is where the fit predicts, until placed too
    panels.interact((panel) => this._actionsOf(panel));
  }

  /** Who changes a point, and when. */
  get _by() {
    return { operator: this._about.operator, date: now() };
  }

  /** Place a side of a point: the second one of the draft, or the first of a new draft. */
  add(panel, pixel) {
    if (!this._writable) return toast("This server only looks (--read-only).", "bad");
    const [side, other] = [sideOf(panel), otherOf(sideOf(panel))];
    const { sides } = this._site;
    const here = inside(pixel, sides[side].size);
    if (this.draft && this.draft.side !== side) return this._settle(here);
    const matrix = this._fit.homography();
    const there = matrix && apply(side === "map" ? matrix : inverse(matrix), here);
    const middle = sides[other].size.map((length) => (length - 1) / 2);
    // Its name is given when it becomes a point: by then somebody else may have taken what is free now.
    this.draft = { side, point: { name: "", ...this._by, ...places(side, here), ...places(other, inside(there ?? middle, sides[other].size)) } };
    this._points.select(null);
    toast(`Now the same place on the ${other === "map" ? "map" : "image"}: click it, drag the dashed mark, or S for where the windows correlate`);
  }

  /** The other side of the draft is placed by a person: it becomes a point, which counts. */
  _settle(pixel) {
    const { side, point } = this.draft;
    this.draft = null;
    const name = freeName(`${this._about.operator}-0`, this._points.list);
    this._points.edit([...this._points.list, { ...point, name, date: now(), ...places(otherOf(side), pixel) }]);
    this._points.select(name);
  }

  _isDraft(name) {
    return this.draft !== null && this.draft.point.name === name;
  }

  _actionsOf(panel) {
    const [points, saver] = [this._points, this._saver];
    const side = sideOf(panel);
    const loupe = this._panels.loupes[panel];
    return {
      list: () => (this.draft ? [...points.list, this.draft.point] : points.list),
      placing: () => this._panels.tool === "place",
      isDraft: (name) => this._isDraft(name),
      placed: (pixel) => this.add(panel, pixel),
      selected: (name) => this._isDraft(name) || points.select(name),
      begin: (name) => {
        if (this._isDraft(name) || !this._writable) return;
        saver.paused = true;
        points.edit([...points.list]);
      },
      dragged: (name, pixel) => {
        if (!this._writable) return;
        if (this._isDraft(name)) {
          this.draft = { ...this.draft, point: { ...this.draft.point, ...places(side, pixel) } };
          this.dispatchEvent(new Event("change"));
        } else points.move(name, { ...places(side, pixel), ...this._by }, false);
        const view = this._panels.views[panel];
        loupe.show(pixel, view.getPixelFromCoordinate(toView(pixel)), view.getView().getRotation());
      },
      end: (name) => {
        loupe.hide();
        if (this._isDraft(name)) {
          const at = place(this.draft.point, side);
          return this.draft.side === side ? this.add(panel, at) : this._settle(at);
        }
        saver.paused = false;
        points.dispatchEvent(new Event("change"));
      },
    };
  }

  /** Move the draft or the selected point by raster px, the way that an arrow points on the screen; else pan. */
  nudge(dx, dy) {
    const panels = this._panels;
    const point = this.draft?.point ?? this._points.get(this._points.selected);
    if (!point) return panels.pan(dx, dy);
    if (!this._writable) return;
    const side = this.draft ? otherOf(this.draft.side) : sideOf(panels.active);
    const [x, y] = place(point, side);
    const turn = panels.view.getRotation();
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    const moved = [x + dx * cos + dy * sin, y - dx * sin + dy * cos];
    if (this.draft) return this._settle(moved);
    this._points.move(point.name, { ...places(side, moved), ...this._by });
  }

  /** Give a coordinate of a point that was typed. */
  type(name, key, value) {
    this._points.move(name, { [key]: value, ...this._by });
  }

  /** Move the draft or the selected point to where the windows around it correlate best. */
  async propose() {
    const point = this.draft?.point ?? this._points.get(this._points.selected);
    if (!point || !this._writable) return toast("Select a point first.");
    try {
      const found = await post(`${this._path}/propose`, { point: { ...point, name: point.name || "draft" }, points: this._points.list });
      if (this.draft ? this.draft.point !== point : this._points.get(point.name) !== point) return;
      if (this.draft) {
        this.draft = { side: "map", point };
        this._settle(found.visible);
      } else this._points.move(point.name, { ...places("visible", found.visible), ...this._by });
      const distance = Math.hypot(found.visible[0] - point.visible_x, found.visible[1] - point.visible_y);
      toast(`Moved by ${distance.toFixed(2)} px to where the windows correlate best: score ${found.score.toFixed(2)}${found.reliable ? "" : ", not reliable: look closely, or undo"}`, found.reliable ? "good" : "bad");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  /** Give up the drag or the draft that is under way; return whether there was one. */
  cancel() {
    const dragged = this._panels.cancelDrag();
    if (dragged !== null && !this._isDraft(dragged)) {
      this._saver.paused = false;
      this._points.undo();
      return true;
    }
    if (!this.draft) return false;
    this.draft = null;
    this.dispatchEvent(new Event("change"));
    return true;
  }
}
