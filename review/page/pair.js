// One raster pair: its panels, points, fit and verdict put together, and its keys.
import { call, get, post } from "/api.js";
import { asking, button, byId, download, h, toast } from "/dom.js";
import { Fit } from "/fit.js";
import { toPixel } from "/geometry.js";
import { setKeys } from "/keys.js";
import { freeName } from "/merge.js";
import { Panels } from "/panels.js";
import { Placing } from "/placing.js";
import { Points } from "/points.js";
import { Saver } from "/saving.js";
import { askConflict, askGiveUp, askHistory, fitWords } from "/settle.js";
import { Settling } from "/settling.js";
import { Table } from "/table.js";

const LARGEST_FILE = 16 << 20;

/** The text of a file that a person chose: one in another encoding would come with other names, and nobody would see. */
async function textOf(chosen) {
  if (chosen.size > LARGEST_FILE) throw new Error(`${chosen.name}: over 16 MiB is no file of tie points`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await chosen.arrayBuffer());
  } catch {
    throw new Error(`${chosen.name} is not UTF-8 text; save it as UTF-8`);
  }
}

const LOOK_MS = 3000; // how often is asked what others did
const LAYERS = [
  ["automatic", "Automatic", "t", "automatic tie points"], ["regions", "Regions", "c", "regions: where the alignment was accepted and where not"],
  ["heat", "Expected error", "h", "where a point is missing: the expected error"], ["arrows", "Residuals", "r", "residuals, 20 times as long"],
];

export async function showPair(main, { name, about, go, again }) {
  const path = `/api/sites/${name}`;
  const site = await get(path);
  const writable = about.writable !== false;
  const points = new Points(site.document.points);
  const fit = new Fit(path, site, points);
  const bar = h("div", { class: "bar" });
  main.append(bar);
  const panels = new Panels(main, site, () => fit.homography());
  const saver = new Saver(path, points, site.tag, askConflict, take);
  const placing = new Placing({ path, site, points, panels, saver, fit, about, writable });
  const settling = new Settling({ path, site, about, saver, go, again });
  const table = new Table(points, { chosen: choose, typed: writable ? (...given) => placing.type(...given) : null });

  // --- drawing ---
  const fitCard = h("section", { class: "card fit" });
  const saved = h("span", { class: "saved", role: "status" });
  const file = h("input", { type: "file", accept: ".points,.geojson,.json,.csv", hidden: true, onchange: load });
  const off = { disabled: !writable };
  const tools = h("div", { class: "tools" },
    button("Propose", "S", () => placing.propose(), off), button("Delete", "Del", remove, off),
    button("Undo", "", () => points.undo(), off), button("Redo", "", () => points.redo(), off), button("Import", "", () => file.click(), off),
    h("select", { "aria-label": "export", onchange: (event) => (save(event.target.value), (event.target.value = "")) }, h("option", { value: "" }, "Export…"), [".points", ".geojson", ".csv"].map((form) => h("option", { value: form }, form))),
    button("History", "", history),
  );
  main.append(h("aside", {}, settling.element, fitCard, h("section", { class: "card grow" }, h("header", {}, h("b", {}, "Points"), h("span", { class: "space" }), saved), table.element, tools, file)));

  function draw() {
    panels.draw(points, fit.value, placing.draft);
    table.draw(fit.value);
    fitCard.replaceChildren(h("header", {}, h("b", {}, "Fit")), ...fitWords(fit.value, points.list.length));
  }

  function drawBar() {
    const toggle = (words, key, on, action) => h("button", { class: on ? "on" : "", title: `${words} (${key.toUpperCase()})`, "aria-pressed": String(on), onclick: action }, words, h("kbd", {}, key.toUpperCase()));
    bar.replaceChildren(
      h("h1", {}, name), h("span", { class: `badge ${settling.status}` }, settling.words), h("span", { class: "space" }),
      h("span", { class: "group" }, toggle("Pan", "v", panels.tool === "pan", () => panels.setTool("pan")), toggle("Place points", "a", panels.tool === "place", () => panels.setTool("place"))),
      h("span", { class: "group" }, LAYERS.map(([layer, words, key]) => toggle(words, key, panels.shows(layer), () => panels.toggle(layer)))),
      h("span", { class: "group" }, h("button", { title: "whole (W)", onclick: () => panels.whole() }, "Whole", h("kbd", {}, "W")), h("button", { title: "one raster pixel a screen pixel (Z)", onclick: () => panels.view.setResolution(1) }, "1:1", h("kbd", {}, "Z"))),
    );
  }

  function drawSaved() {
    saved.className = `saved ${saver.state}`;
    saved.textContent = { saved: "saved", unsaved: "not saved yet", saving: "saving…", failed: `not saved: ${saver.message}` }[saver.state];
  }

  saver.addEventListener("state", drawSaved);
  saver.addEventListener("merged", (event) => toast(event.detail ? "Changes of somebody else were merged as you chose." : "Changes of somebody else were merged."));
  points.addEventListener("change", () => {
    draw();
    fit.ask();
  });
  points.addEventListener("select", draw);
  fit.addEventListener("change", draw);
  placing.addEventListener("change", () => panels.drawMarks(points, fit.value, placing.draft));
  for (const each of [panels, settling]) each.addEventListener("change", drawBar);

  // --- what buttons and keys do ---
  function choose(chosen) {
    points.select(chosen);
    const point = points.get(chosen);
    if (point) panels.showPoint(point);
  }

  function remove() {
    if (points.selected !== null && writable) points.remove(points.selected);
  }

  function next(step) {
    points.next(step);
    choose(points.selected);
  }

  function escape() {
    if (placing.cancel()) return;
    if (panels.tool === "place") panels.setTool("pan");
    else if (points.selected !== null) points.select(null);
    else if (panels.alone) panels.maximise(panels.alone);
  }

  /** Take what the server says beside the points: the verdict, and what pairs are cut by. */
  function take(said) {
    panels.overlay.cutAgain(said.cut_by);
    settling.take(said);
  }

  /** Take a state that the server has, and that this page did not make. */
  function adopt(said) {
    saver.adopt(said.tag, said.document.points);
    take(said);
  }

  async function history() {
    await saver.flush();
    const entry = await askHistory(name, writable);
    if (!entry) return;
    try {
      if (entry.action === "tiles") await post("/api/pairs/revert", { steps: [{ site: name, back_to: entry.number, present: entry.latest }] });
      else {
        const said = await call("POST", `${path}/revert`, { number: entry.number }, { "If-Match": `"${saver.tag}"` });
        adopt(said);
        points.edit(said.document.points);
      }
      toast(`Back at state ${entry.number}`, "good");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async function load() {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      const said = await post(`${path}/import`, { name: chosen.name, text: await textOf(chosen) });
      const list = [...points.list];
      for (const point of said.points) list.push(list.some((each) => each.name === point.name) ? { ...point, name: freeName(`${point.name}-0`, list) } : point);
      points.edit(list);
      toast(`${said.points.length} points from ${chosen.name}`, "good");
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      file.value = "";
    }
  }

  async function save(form) {
    if (!form) return;
    const { text } = await post(`${path}/export`, { points: points.list, form });
    download(`${name.replace("/", "_")}${form}`, text);
  }

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const nudges = (prefix, size, words) => [Object.keys(arrows).map((key) => prefix + key).join(" "), words, (event) => placing.nudge(...arrows[event.key].map((each) => each * size))];
  setKeys([
    ["y", "accept", () => settling.accept()], ["b", "reject", () => settling.reject()], ["s", "propose the sub-pixel place of the selected point", () => placing.propose()],
    ["a", "place points: click on either side", () => panels.setTool("place")], ["v", "pan", () => panels.setTool("pan")],
    ["p", "place a point amid the active view", () => placing.add(panels.active, toPixel(panels.view.getCenter()))],
    ["Escape", "cancel; let go", escape], ["Delete Backspace", "delete the selected point", remove],
    ["]", "next point", () => next(1)], ["[", "point before", () => next(-1)],
    nudges("", 1, "move the selected point by 1 px on the active side, or pan; Shift 10 px, Ctrl 0.1 px"), nudges("Shift+", 10, ""), nudges("Ctrl+", 0.1, ""),
    ["e", "other side active", () => panels.activate({ map: "visible", visible: "overlay", overlay: "map" }[panels.active])],
    ["1", "map alone, and back", () => panels.maximise("map")], ["2", "image alone, and back", () => panels.maximise("visible")], ["3", "overlay alone, and back", () => panels.maximise("overlay")],
    ["o", "next manner of the overlay", () => panels.nextMode()],
    ...LAYERS.map(([layer, , key, words]) => [key, words, () => panels.toggle(layer)]),
    ["+ =", "closer", () => panels.zoom(2)], ["-", "farther", () => panels.zoom(0.5)], ["w", "whole", () => panels.whole()], ["z", "one raster pixel a screen pixel", () => panels.view.setResolution(1)],
    ["Ctrl+z", "undo", () => writable && points.undo()], ["Ctrl+y Ctrl+Shift+z", "redo", () => writable && points.redo()],
  ]);

  // --- what others do ---
  const busy = () => saver.dirty || saver.paused || placing.draft !== null || asking();
  const looking = setInterval(async () => {
    if (document.hidden || busy()) return;
    const said = await get(`${path}/tag`).catch(() => null);
    if (!said || closed || busy()) return;
    if (said.alignment !== site.alignment) return again("A run took up this raster pair; this is how it is now.");
    if (said.tag === saver.tag) return said.cut_by === panels.overlay.cutBy || panels.overlay.cutAgain(said.cut_by);
    adopt(said);
    points.replace(said.document.points);
    toast("Somebody else changed this raster pair; this is how it is now.");
  }, LOOK_MS);

  let closed = false;
  panels.activate("map");
  panels.overlay.show("blend");
  panels.setTool("pan");
  drawSaved();
  settling.draw();
  draw();
  requestAnimationFrame(() => closed || panels.settle());
  main.pair = { views: panels.views, sizes: panels.sizes, points, saver, overlay: panels.overlay, homography: () => fit.homography(), fit: () => fit.value }; // for whoever looks from the console

  return async () => {
    clearInterval(looking);
    await saver.close(askGiveUp);
    closed = true;
    for (const each of [fit, settling, panels]) each.close();
    delete main.pair;
    byId("toast").className = "";
  };
}
