// Homographies in pixels, and how pixels lie in the coordinates of a view. Pure functions.
// Pixel (x, y), (0, 0) the centre of the top-left one, is (x + 0.5, -(y + 0.5)) in a view: y points up there.

export const toView = ([x, y]) => [x + 0.5, -(y + 0.5)];
export const toPixel = ([x, y]) => [x - 0.5, -y - 0.5];

/** Apply a homography to a pixel; null beyond the horizon. */
export function apply(matrix, [x, y]) {
  const [a, b, c] = matrix.map((row) => row[0] * x + row[1] * y + row[2]);
  return c > 1e-12 ? [a / c, b / c] : null;
}

/** Return the inverse of a homography, scaled so that its last element is 1. */
export function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const rows = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return rows.map((row) => row.map((value) => value / rows[2][2]));
}

/** Return scale and turn (radians, as views count) of a homography around a pixel. */
export function local(matrix, [x, y]) {
  const [at, right, down] = [apply(matrix, [x, y]), apply(matrix, [x + 1, y]), apply(matrix, [x, y + 1])];
  if (!at || !right || !down) return null;
  const [xx, yx, xy, yy] = [right[0] - at[0], right[1] - at[1], down[0] - at[0], down[1] - at[1]];
  return { scale: Math.sqrt(Math.abs(xx * yy - xy * yx)), turn: Math.atan2(xy - yx, xx + yy) };
}
