// The three views: map, image and overlay; what is drawn in them, and how they move together.
/* global ol */
import { apply, inverse, local, toPixel, toView } from "/geometry.js";

const TILE = 512;
const levels = ([width, height]) => Math.max(0, Math.ceil(Math.log2(Math.max(width, height, TILE) / TILE)));

/** Pixels of a raster as a projection of OpenLayers. */
export function pixels(code, [width, height]) {
  return new ol.proj.Projection({ code, units: "pixels", extent: [0, -height, width, 0] });
}

/** The tiles of a raster in a projection; `look` is "edges" for its edges alone. */
export function tiles(site, side, projection, look = "") {
  const { size, digest } = site.sides[side];
  const top = levels(size);
  const resolutions = Array.from({ length: top + 1 }, (_, at) => 2 ** (top - at));
  const grid = new ol.tilegrid.TileGrid({ origin: [0, 0], extent: [0, -size[1], size[0], 0], resolutions, tileSize: TILE });
  return new ol.source.TileImage({
    projection,
    tileGrid: grid,
    interpolate: false,
    wrapX: false,
    transition: 0,
    tileUrlFunction: ([z, x, y]) => `/tiles/${site.name}/${side}/${digest}/${top - z}/${x}/${y}${look ? `?look=${look}` : ""}`,
  });
}

/** A view of pixels without controls, which keys and the page have. */
export function makeView(target, projection, size, layers) {
  const view = new ol.View({ projection, extent: [-size[0], -2 * size[1], 2 * size[0], size[1]], constrainOnlyCenter: true, showFullExtent: true, minResolution: 1 / 16, maxResolution: 2 ** (levels(size) + 2), smoothResolutionConstraint: false, constrainRotation: false, center: [size[0] / 2, -size[1] / 2], resolution: 1 });
  const map = new ol.Map({
    target,
    view,
    layers,
    controls: [],
    interactions: ol.interaction.defaults.defaults({ doubleClickZoom: false, keyboard: false, altShiftDragRotate: true, zoomDuration: 0, onFocusOnly: false }),
    moveTolerance: 3,
    pixelRatio: Math.min(window.devicePixelRatio, 2),
  });
  return map;
}

/** Show the whole of a raster. */
export const fitWhole = (map, size) => map.getView().fit([0, -size[1], size[0], 0], { padding: [8, 8, 8, 8] });

/** Keep the views on the same ground: `homography()` leads from map to image pixels, null while there is none. */
export function link(mapView, imageView, overlayView, homography) {
  let following = false;
  const views = [mapView, imageView, overlayView];
  const follow = (leader) => {
    const matrix = homography();
    if (following || !matrix) return;
    following = true;
    try {
      const onMap = leader === mapView;
      const at = toPixel(leader.getCenter());
      const forth = onMap ? matrix : inverse(matrix);
      const here = local(forth, at);
      const there = apply(forth, at);
      for (const other of views) {
        if (other === leader) continue;
        if (onMap !== (other === mapView)) {
          if (!here || !there) continue;
          other.setCenter(toView(there));
          other.setResolution(leader.getResolution() * here.scale);
          other.setRotation(leader.getRotation() + here.turn);
        } else {
          other.setCenter(leader.getCenter());
          other.setResolution(leader.getResolution());
          other.setRotation(leader.getRotation());
        }
      }
    } finally {
      following = false;
    }
  };
  for (const view of views) view.on(["change:center", "change:resolution", "change:rotation"], () => follow(view));
  return () => follow(imageView);
}

let count = 0;
/** A projection of map pixels that is drawn over the image by a homography: OpenLayers warps the tiles. */
export function overImage(site, image, homography) {
  const projection = pixels(`map-over-image-${(count += 1)}`, site.sides.map.size);
  ol.proj.addProjection(projection);
  const back = inverse(homography);
  const through = (matrix) => (coordinate) => {
    const found = apply(matrix, toPixel(coordinate));
    return found ? toView(found) : [NaN, NaN];
  };
  ol.proj.addCoordinateTransforms(projection, image, through(homography), through(back));
  return projection;
}
