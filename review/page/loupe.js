// The loupe: what lies under the pointer, eight times enlarged, while a point is dragged.
/* global ol */
import { h } from "/dom.js";
import { toView } from "/geometry.js";

const TIMES = 8;
const SIDE = 168;

export class Loupe {
  /** `source` and `projection` are those of the raster that is enlarged. */
  constructor(panel, source, projection, size) {
    this._element = h("div", { class: "loupe", hidden: true }, h("div", { class: "glass" }), h("small", {}));
    panel.append(this._element);
    const layer = new ol.layer.Tile({ source, extent: [0, -size[1], size[0], 0] });
    this._view = new ol.View({ projection, center: [0, 0], resolution: 1 / TIMES, minResolution: 1 / 64, maxResolution: 8, constrainRotation: false });
    this._map = new ol.Map({ target: this._element.firstChild, layers: [layer], view: this._view, controls: [], interactions: [], pixelRatio: 1 });
  }

  show(pixel, screen, rotation) {
    const [x, y] = screen;
    const panel = this._element.parentElement.getBoundingClientRect();
    this._element.hidden = false;
    this._element.style.left = `${Math.min(Math.max(x + 28, 4), panel.width - SIDE - 4)}px`;
    this._element.style.top = `${y - SIDE - 28 > 30 ? y - SIDE - 28 : Math.min(y + 28, panel.height - SIDE - 24)}px`;
    this._element.lastChild.textContent = `${pixel[0].toFixed(2)}, ${pixel[1].toFixed(2)}`;
    this._map.updateSize();
    this._view.setCenter(toView(pixel));
    this._view.setRotation(rotation);
  }

  hide() {
    this._element.hidden = true;
  }

  close() {
    this._map.setTarget(null);
    this._element.remove();
  }
}
