// Merging two changes of the same points, by the points' names. Pure functions.

export const PLACES = ["map_x", "map_y", "visible_x", "visible_y"];

/** Whether two points, or their absences, are the same. */
export const same = (a, b) => (a === undefined || b === undefined ? a === b : [...PLACES, "operator"].every((key) => a[key] === b[key]));

/**
 * Merge. `base` is what both sides began with, `mine` and `theirs` what they made of it, lists of points.
 * Returns `points`, with mine where both changed the same point, and `conflicts`: those points as [name, mine, theirs].
 */
export function merge(base, mine, theirs) {
  const named = (points) => new Map(points.map((point) => [point.name, point]));
  const [before, my, their] = [named(base), named(mine), named(theirs)];
  const points = [];
  const conflicts = [];
  const renamed = [];
  for (const name of new Set([...their.keys(), ...my.keys()])) {
    const [b, m, t] = [before.get(name), my.get(name), their.get(name)];
    if (same(m, b) || same(m, t)) {
      if (t) points.push(t);
    } else if (same(t, b)) {
      if (m) points.push(m);
    } else if (!b) {
      points.push(t); // both added a point of this name: mine gets another
      renamed.push(m);
    } else {
      conflicts.push([name, m, t]);
      if (m) points.push(m);
    }
  }
  for (const point of renamed) points.push({ ...point, name: freeName(point.name, points) });
  return { points, conflicts };
}

/** Return a name like the given one that no point has. */
export function freeName(name, points) {
  const taken = new Set(points.map((point) => point.name));
  const stem = name.replace(/-\d+$/, "");
  let number = 1;
  while (taken.has(`${stem}-${number}`)) number += 1;
  return `${stem}-${number}`;
}
