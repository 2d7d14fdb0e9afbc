// The overlay: map over image, in several manners, and the pairs as the server will cut them.
/* global ol */
import { overImage, tiles } from "/views.js";

export const MODES = [
  ["blend", "Blend"],
  ["swipe", "Swipe"],
  ["blink", "Blink"],
  ["checkerboard", "Checkerboard"],
  ["edges", "Edges"],
  ["cut", "As it will be cut"],
];
const BLINK_MS = 600;
const SQUARE = 96; // screen px
const COARSEST = 4; // image px a screen px at which pairs are cut: each is work for the server

export class Overlay {
  /** `note` is the element that says why nothing is shown. */
  constructor(map, site, projection, note) {
    this._note = note;
    this._map = map;
    this._site = site;
    this._projection = projection;
    this.mode = "blend";
    this.amount = 0.5;
    this.cutBy = site.cut_by;
    this._homography = null;
    const [width, height] = site.sides.visible.size;
    const extent = [0, -height, width, 0];
    this.drawn = new ol.layer.Tile({ extent, className: "drawn" });
    this.edges = new ol.layer.Tile({ extent, visible: false });
    // The image as it will be cut lies over the image as it is only where it is resampled, too.
    this.cutImage = new ol.layer.Tile({ extent, visible: false, maxResolution: COARSEST });
    this.cut = new ol.layer.Tile({ extent, visible: false, className: "cut", maxResolution: COARSEST });
    this.drawn.on("prerender", (event) => this._clip(event));
    this.drawn.on("postrender", (event) => event.context.restore());
    for (const layer of [this.drawn, this.edges, this.cutImage, this.cut]) map.addLayer(layer);
    map.getView().on("change:resolution", () => this._say());
    this._timer = setInterval(() => this.mode === "blink" && this.drawn.setVisible(!this.drawn.getVisible()), BLINK_MS);
  }

  close() {
    clearInterval(this._timer);
  }

  /** Draw the map by this homography. */
  by(homography) {
    if (JSON.stringify(homography) === JSON.stringify(this._homography)) return;
    this._homography = homography;
    const projection = homography && overImage(this._site, this._projection, homography);
    for (const [layer, look] of [[this.drawn, ""], [this.edges, "edges"]]) layer.setSource(projection ? this._warped(projection, look) : null);
  }

  /** Have the pairs cut anew: what they are cut by has changed; see `Cuts.by` of the server for its words. */
  cutAgain(by = this.cutBy) {
    this.cutBy = by;
    this._cutNumber = (this._cutNumber ?? 0) + 1;
    const shown = this.mode === "cut" && this.cutBy !== "";
    this.cut.setSource(shown ? this._asCut("map") : null);
    this.cutImage.setSource(shown && this._site.cut.resampled ? this._asCut("visible") : null);
    this._say();
  }

  _say() {
    const far = this._map.getView().getResolution() >= COARSEST;
    const why = { "": "There is no alignment to cut by yet.", points: "Cut by the points alone; Align now says what the run will cut by." }[this.cutBy] ?? "";
    const words = far ? "Zoom in (+) to have pairs cut." : why;
    this._note.hidden = this.mode !== "cut" || words === "";
    this._note.textContent = words;
  }

  show(mode, amount = this.amount) {
    const before = this.mode;
    this.mode = mode;
    this.amount = amount;
    this.drawn.setVisible(!["edges", "cut"].includes(mode));
    this.drawn.setOpacity(mode === "blend" ? amount : 1);
    this.edges.setVisible(mode === "edges");
    for (const layer of [this.cut, this.cutImage]) layer.setVisible(mode === "cut");
    this.cut.setOpacity(amount);
    if ((mode === "cut") !== (before === "cut")) this.cutAgain();
    this._map.render();
  }

  _warped(projection, look) {
    const source = tiles(this._site, "map", projection, look);
    const [width, height] = this._site.sides.visible.size;
    const top = Math.max(0, Math.ceil(Math.log2(Math.max(width, height, 512) / 512)));
    const resolutions = Array.from({ length: top + 4 }, (_, at) => 2 ** (top - at));
    source.setTileGridForProjection(this._projection, new ol.tilegrid.TileGrid({ origin: [0, 0], extent: [0, -height, width, 0], resolutions, tileSize: 256 }));
    return source;
  }

  _asCut(side) {
    const { size, stride, columns, rows, to_visible: matrix } = this._site.cut;
    const step = matrix[0][0]; // the grid of tiles is the image's own, or one of another sample distance over it
    const origin = [matrix[0][2] + 0.5 - step / 2, -(matrix[1][2] + 0.5 - step / 2)];
    const extent = [origin[0], origin[1] - rows * stride * step, origin[0] + columns * stride * step, origin[1]];
    const grid = new ol.tilegrid.TileGrid({ origin, extent, resolutions: [step], tileSize: stride });
    return new ol.source.TileImage({
      projection: this._projection,
      tileGrid: grid,
      interpolate: false,
      wrapX: false,
      transition: 0,
      tileUrlFunction: ([, x, y]) => (x >= 0 && y >= 0 && x < columns && y < rows ? `/cut/${this._site.name}/${side}/${x}/${y}?of=${this._cutNumber}` : undefined),
      ...(size === stride ? {} : { tileLoadFunction: (tile, address) => cropped(tile, address, stride) }),
    });
  }

  _clip(event) {
    const { context } = event;
    context.save();
    const { width, height } = context.canvas;
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.mode === "swipe") {
      context.beginPath();
      context.rect(0, 0, width * this.amount, height);
      context.clip();
    } else if (this.mode === "checkerboard") {
      const square = SQUARE * (event.frameState.pixelRatio || 1);
      context.beginPath();
      for (let y = 0; y * square < height; y += 1) for (let x = y % 2; x * square < width; x += 2) context.rect(x * square, y * square, square, square);
      context.clip();
    }
  }
}

/** Load a pair that overlaps the next ones, or lies apart from them: what is shown of it is `side` px from its top left. */
async function cropped(tile, address, side) {
  const response = await fetch(address);
  if (response.status !== 200) return tile.setState(3); // ERROR: nothing will be cut there
  const picture = await createImageBitmap(await response.blob());
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  canvas.getContext("2d").drawImage(picture, 0, 0);
  tile.setImage(canvas);
}
