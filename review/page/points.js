// The points of a raster pair as they are edited: changes, undo and redo, which one is selected.

export class Points extends EventTarget {
  constructor(points) {
    super();
    this.list = points;
    this.selected = null;
    this._undo = [];
    this._redo = [];
  }

  get(name) {
    return this.list.find((point) => point.name === name);
  }

  /** Change the list as a step that can be undone; `list` is never changed in place. */
  edit(list) {
    this._undo.push(this.list);
    if (this._undo.length > 1000) this._undo.shift();
    this._redo = [];
    this._become(list);
  }

  /** Change one point. With `step` false the change belongs to the step before: a drag is one step. */
  move(name, places, step = true) {
    const list = this.list.map((point) => (point.name === name ? { ...point, ...places } : point));
    if (step) this.edit(list);
    else this._become(list);
  }

  remove(name) {
    const at = this.list.findIndex((point) => point.name === name);
    if (at < 0) return;
    this.edit(this.list.filter((point) => point.name !== name));
    this.select(this.list[Math.min(at, this.list.length - 1)]?.name ?? null);
  }

  /** Take what somebody else made of the list, or what was there before: no step of this person. */
  replace(list) {
    this._undo = [];
    this._redo = [];
    this._become(list);
  }

  undo() {
    return this._step(this._undo, this._redo);
  }

  redo() {
    return this._step(this._redo, this._undo);
  }

  select(name) {
    this.selected = name;
    this.dispatchEvent(new Event("select"));
  }

  /** Select the point that is `step` further in the list. */
  next(step) {
    if (!this.list.length) return;
    const at = this.list.findIndex((point) => point.name === this.selected);
    const to = at < 0 ? (step > 0 ? 0 : this.list.length - 1) : (at + step + this.list.length) % this.list.length;
    this.select(this.list[to].name);
  }

  _step(from, to) {
    const list = from.pop();
    if (!list) return false;
    to.push(this.list);
    this._become(list);
    return true;
  }

  _become(list) {
    this.list = list;
    if (this.selected !== null && !this.get(this.selected)) this.selected = null;
    this.dispatchEvent(new Event("change"));
  }
}
