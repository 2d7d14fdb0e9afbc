// The table of points: residuals and leave-one-out errors, sortable; coordinates can be typed.
import { fixed, h } from "/dom.js";
import { PLACES } from "/merge.js";

const COLUMNS = [
  ["number", "#", (_, __, at) => at],
  ["name", "point", (point) => point.name],
  ["residual", "residual", (_, row) => row?.residual_px ?? Infinity],
  ["left out", "left out", (_, row) => row?.left_out_px ?? Infinity],
];
const WORDS = { map_x: "map x", map_y: "map y", visible_x: "image x", visible_y: "image y" };

export class Table {
  /** `actions.chosen(name)`, and `actions.typed(name, key, number)` or null where nothing may be changed. */
  constructor(points, actions) {
    this._points = points;
    this._actions = actions;
    this._by = "number";
    this._down = false;
    this.rows = h("tbody");
    this.heads = h("tr");
    this.typed = h("div", { class: "typed" });
    this.element = h("div", { class: "points" }, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, this.heads), this.rows)), this.typed);
  }

  draw(fit) {
    const said = new Map((fit?.points ?? []).map((row) => [row.name, row]));
    const list = this._points.list.map((point, at) => [point, said.get(point.name), at]);
    const value = COLUMNS.find(([name]) => name === this._by)[2];
    list.sort((a, b) => (value(...a) < value(...b) ? -1 : value(...a) > value(...b) ? 1 : 0) * (this._down ? -1 : 1));
    this.heads.replaceChildren(...COLUMNS.map(([name, words]) => h("th", { "aria-sort": name === this._by ? (this._down ? "descending" : "ascending") : "none" }, h("button", { onclick: () => this._sort(name, fit), title: name === "left out" ? "distance from the fit without this point, px" : `sort by ${name}` }, words, name === this._by ? (this._down ? " ▾" : " ▴") : ""))));
    this.rows.replaceChildren(...list.map(([point, row, at]) => h("tr", { class: `${point.name === this._points.selected ? "at" : ""} ${row?.contradicts ? "contradicts" : row?.agrees ? "agrees" : ""}`, "data-name": point.name, title: `${point.operator} ${point.date.slice(0, 10)}`, onclick: () => this._actions.chosen(point.name) },
      h("td", {}, String(at + 1)), h("td", {}, point.name), h("td", { class: "number" }, fixed(row?.residual_px)), h("td", { class: "number" }, fixed(row?.left_out_px)))));
    this.rows.querySelector(".at")?.scrollIntoView({ block: "nearest" });
    this._drawTyped();
  }

  _sort(name, fit) {
    this._down = name === this._by ? !this._down : name !== "number" && name !== "name";
    this._by = name;
    this.draw(fit);
  }

  _drawTyped() {
    if (this.typed.contains(document.activeElement)) return;
    const point = this._points.get(this._points.selected);
    if (!point) return this.typed.replaceChildren(h("small", {}, "Select a point to type its coordinates."));
    this.typed.replaceChildren(...PLACES.map((key) => h("label", {}, WORDS[key], h("input", { type: "number", step: "any", value: point[key].toFixed(3), "data-key": key, disabled: !this._actions.typed, onchange: (event) => {
      const number = Number(event.target.value);
      if (event.target.value !== "" && Number.isFinite(number)) this._actions.typed(point.name, key, number);
      else event.target.value = point[key].toFixed(3);
    } }))));
  }
}
