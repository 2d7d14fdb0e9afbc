// One raster pair: its three views, its points, its verdict.
/* global ol */
import { call, get, post, put, Refusal } from "/api.js";
import { byId, download, h, toast } from "/dom.js";
import { apply, inverse, toPixel, toView } from "/geometry.js";
import { setKeys } from "/keys.js";
import { Loupe } from "/loupe.js";
import { interact, Marks, place, places } from "/marks.js";
import { freeName } from "/merge.js";
import { MODES, Overlay } from "/overlay.js";
import { Points } from "/points.js";
import { nextSite } from "/queue.js";
import { Saver } from "/saving.js";
import { askConflict, askHistory, askOverride, askReason, fitWords } from "/settle.js";
import { Table } from "/table.js";
import { fitWhole, link, makeView, pixels, tiles } from "/views.js";

const TOOLS = { pan: "Pan", place: "Place points" };
const PANELS = [["map", "Map"], ["visible", "Image"], ["overlay", "Overlay"]];

export async function showPair(main, { name, about, go }) {
  const site = await get(`/api/sites/${name}`);
  const path = `/api/sites/${name}`;
  const writable = about.writable !== false;
  let document_ = site.document;
  let fit = site.fit;
  let trial = site.trial;
  let tool = "pan";
  let active = "map";
  let closed = false;
  let holding = site.holds;
  let draft = null; // a point of which a person placed one side; the other is where the fit predicts, until placed too
  const points = new Points(document_.points);
  const sizes = { map: site.sides.map.size, visible: site.sides.visible.size, overlay: site.sides.visible.size };
  const sideOf = (panel) => (panel === "map" ? "map" : "visible");

  // --- the frame ---
  const panels = Object.fromEntries(PANELS.map(([id, title]) => [id, h("section", { class: "panel", "data-panel": id, "aria-label": title },
    h("header", {}, h("b", {}, title), h("span", { class: "at" }), h("span", { class: "space" }), id === "overlay" ? h("span", { class: "modes" }) : null, h("button", { class: "icon", title: `maximise (${PANELS.findIndex(([each]) => each === id) + 1})`, onclick: () => maximise(id) }, "⤢")),
    h("div", { class: "view", tabIndex: -1 }), h("div", { class: "crosshair", "aria-hidden": "true" }))]));
  const side = h("aside");
  const bar = h("div", { class: "bar" });
  main.append(bar, h("div", { class: "panels" }, Object.values(panels)), side);

  const projections = { map: pixels(`map ${name}`, sizes.map), visible: pixels(`image ${name}`, sizes.visible) };
  for (const projection of Object.values(projections)) ol.proj.addProjection(projection);
  const sources = { map: tiles(site, "map", projections.map), visible: tiles(site, "visible", projections.visible) };
  const views = {};
  const marks = {};
  const loupes = {};
  const held = {};
  for (const [id] of PANELS) {
    const of = sideOf(id);
    const [width, height] = sizes[id];
    const layer = new ol.layer.Tile({ source: sources[of], extent: [0, -height, width, 0] });
    views[id] = makeView(panels[id].querySelector(".view"), projections[of], sizes[id], [layer]);
    fitWhole(views[id], sizes[id]);
  }
  const overlay = new Overlay(views.overlay, site, projections.visible);
  for (const [id] of PANELS) {
    marks[id] = new Marks(views[id], sideOf(id));
    marks[id].drawAutomatic(site.automatic);
    loupes[id] = new Loupe(panels[id], sources[sideOf(id)], projections[sideOf(id)], sizes[id]);
    held[id] = interact(views[id], sideOf(id), actionsOf(id));
    panels[id].addEventListener("pointerdown", () => activate(id), true);
    views[id].on("pointermove", (event) => {
      const [x, y] = toPixel(event.coordinate);
      panels[id].querySelector(".at").textContent = `${x.toFixed(1)}, ${y.toFixed(1)}`;
    });
  }
  const realign = link(views.map.getView(), views.visible.getView(), views.overlay.getView(), homography);
  realign();

  // --- the homography that holds just now ---
  function base() {
    return site.aligned.homography ?? site.prior;
  }
  function homography() {
    if (fit?.homography) return fit.homography;
    const start = base();
    if (!start || !points.list.length) return start;
    const offsets = points.list.map((point) => [apply(start, [point.map_x, point.map_y]), [point.visible_x, point.visible_y]]).filter(([a]) => a).map(([a, b]) => [b[0] - a[0], b[1] - a[1]]);
    if (!offsets.length) return start;
    const [dx, dy] = [0, 1].map((axis) => offsets.reduce((sum, offset) => sum + offset[axis], 0) / offsets.length);
    return start.map((row, at) => (at === 2 ? row : row.map((value, column) => value + [dx, dy][at] * start[2][column])));
  }

  // --- changing points ---
  const now = () => new Date().toISOString().slice(0, 19) + "Z";
  const inside = ([x, y], [width, height]) => [Math.min(Math.max(x, -0.5), width - 0.5), Math.min(Math.max(y, -0.5), height - 0.5)];

  function add(panel, pixel) {
    if (!writable) return toast("This server only looks (--read-only).", "bad");
    const of = sideOf(panel);
    const matrix = homography();
    const here = inside(pixel, site.sides[of].size);
    if (draft && draft.side !== of) return settleDraft(here);
    const there = matrix && apply(of === "map" ? matrix : inverse(matrix), here);
    const other = of === "map" ? "visible" : "map";
    const middle = site.sides[other].size.map((length) => (length - 1) / 2);
    draft = { side: of, point: { name: freeName(`${about.operator}-0`, points.list), operator: about.operator, date: now(), ...places(of, here), ...places(other, inside(there ?? middle, site.sides[other].size)) } };
    points.select(null);
    toast(`Now the same place on the ${other === "map" ? "map" : "image"}: click it, drag the dashed mark, or S for where the windows correlate`);
  }

  /** The other side of the draft is placed by a person: it becomes a point, which counts. */
  function settleDraft(pixel) {
    const { side: placed, point } = draft;
    draft = null;
    points.edit([...points.list, { ...point, date: now(), ...places(placed === "map" ? "visible" : "map", pixel) }]);
    points.select(point.name);
  }

  function actionsOf(panel) {
    const of = sideOf(panel);
    return {
      list: () => (draft ? [...points.list, draft.point] : points.list),
      placing: () => tool === "place",
      isDraft: (chosen) => draft?.point.name === chosen,
      placed: (pixel) => add(panel, pixel),
      selected: (chosen) => draft?.point.name === chosen || points.select(chosen),
      begin: (chosen) => {
        if (draft?.point.name === chosen || !writable) return;
        saver.paused = true;
        points.edit([...points.list]);
      },
      dragged: (chosen, pixel) => {
        if (!writable) return;
        if (draft?.point.name === chosen) {
          draft = { ...draft, point: { ...draft.point, ...places(of, pixel) } };
          drawMarks();
        } else points.move(chosen, { ...places(of, pixel), operator: about.operator, date: now() }, false);
        loupes[panel].show(pixel, views[panel].getPixelFromCoordinate(toView(pixel)), views[panel].getView().getRotation());
      },
      end: (chosen) => {
        loupes[panel].hide();
        if (draft?.point.name === chosen) {
          const at = place(draft.point, of);
          return draft.side === of ? add(panel, at) : settleDraft(at);
        }
        saver.paused = false;
        points.dispatchEvent(new Event("change"));
      },
    };
  }

  function nudge(dx, dy) {
    const point = draft?.point ?? points.get(points.selected);
    if (!point) return pan(dx, dy);
    if (!writable) return;
    const of = draft ? (draft.side === "map" ? "visible" : "map") : sideOf(active);
    const [x, y] = place(point, of);
    // A nudge goes the way that the arrow points on the screen.
    const turn = views[active].getView().getRotation();
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    const moved = [x + dx * cos + dy * sin, y - dx * sin + dy * cos];
    if (draft) return settleDraft(moved);
    points.move(point.name, { ...places(of, moved), operator: about.operator, date: now() });
  }

  function pan(dx, dy) {
    const view = views[active].getView();
    const step = (dx || dy) && 80 * view.getResolution() * Math.max(Math.abs(dx), Math.abs(dy), 1) ** 0.5;
    const turn = view.getRotation();
    const [x, y] = view.getCenter();
    const [sx, sy] = [Math.sign(dx) * step, -Math.sign(dy) * step];
    view.setCenter([x + sx * Math.cos(turn) - sy * Math.sin(turn), y + sx * Math.sin(turn) + sy * Math.cos(turn)]);
  }

  // --- the fit: one request under way, the newest points next ---
  let asking = false;
  let again = false;
  async function refit() {
    if (asking) return void (again = true);
    asking = true;
    try {
      do {
        again = false;
        const list = points.list;
        const said = await post(`${path}/fit`, { points: list });
        if (closed) return;
        fit = said;
        draw();
      } while (again);
    } catch (error) {
      if (error instanceof Refusal) toast(error.message, "bad");
    } finally {
      asking = false;
    }
  }

  // --- saving ---
  const saver = new Saver(path, points, site.tag, askConflict, (said) => {
    document_ = said.document;
    holding = said.holds ?? holding;
    overlay.saved();
    drawVerdict();
    drawBar();
  });
  saver.addEventListener("state", drawState);
  saver.addEventListener("merged", (event) => toast(event.detail ? "Changes of somebody else were merged as you chose." : "Changes of somebody else were merged.", ""));
  points.addEventListener("change", () => {
    draw();
    refit();
  });
  points.addEventListener("select", draw);

  // --- drawing ---
  const table = new Table(points, { chosen: (chosen) => choose(chosen) });
  let lastOverlay = 0;
  let waitingOverlay = null;
  function draw() {
    if (closed) return;
    drawMarks();
    for (const [id] of PANELS) {
      marks[id].drawExpected(points.list.length ? fit : null, sizes[id], id !== "overlay");
    }
    // Warping the map anew is work for the browser: a few times a second are enough while a point is dragged.
    clearTimeout(waitingOverlay);
    waitingOverlay = setTimeout(() => {
      lastOverlay = Date.now();
      overlay.by(homography(), fit?.homography ? "points" : "alignment");
    }, Math.max(0, 400 - (Date.now() - lastOverlay)));
    table.draw(fit);
    drawFit();
    drawVerdict();
    drawBar();
  }

  function drawMarks() {
    for (const [id] of PANELS) marks[id].draw(points.list, points.selected, fit, draft);
  }

  function choose(chosen) {
    points.select(chosen);
    const point = points.get(chosen);
    if (!point) return;
    for (const id of ["map", "visible"]) if (!homography() || id === sideOf(active)) views[id].getView().setCenter(toView(place(point, id)));
  }

  function activate(id) {
    active = id;
    for (const [each, panel] of Object.entries(panels)) panel.classList.toggle("active", each === id);
  }

  function maximise(id) {
    const all = main.querySelector(".panels");
    const max = all.dataset.max === id ? "" : id;
    all.dataset.max = max;
    if (max) activate(max);
    for (const [each, panel] of Object.entries(panels)) {
      panel.classList.toggle("hidden", max !== "" && each !== max);
      views[each].updateSize();
    }
  }

  function drawBar() {
    const toggle = (words, key, on, action) => h("button", { class: on ? "on" : "", title: `${words} (${key.toUpperCase()})`, "aria-pressed": String(on), onclick: action }, words, h("kbd", {}, key.toUpperCase()));
    bar.replaceChildren(
      h("h1", {}, name), h("span", { class: `badge ${status()}` }, statusWords()), h("span", { class: "space" }),
      h("span", { class: "group" }, toggle(TOOLS.pan, "v", tool === "pan", () => setTool("pan")), toggle(TOOLS.place, "a", tool === "place", () => setTool("place"))),
      h("span", { class: "group" }, toggle("Automatic", "t", marks.map.automatic.getVisible(), () => layer("automatic")), toggle("Expected error", "h", marks.map.heat.getVisible(), () => layer("heat")), toggle("Residuals", "r", marks.map.arrows.getVisible(), () => layer("arrows"))),
      h("span", { class: "group" }, h("button", { title: "whole (W)", onclick: whole }, "Whole", h("kbd", {}, "W")), h("button", { title: "one raster pixel a screen pixel (Z)", onclick: () => views[active].getView().setResolution(1) }, "1:1", h("kbd", {}, "Z"))),
    );
  }

  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, title: "how much of the map", "aria-label": "how much of the map", oninput: () => overlay.show(overlay.mode, Number(slider.value)) });
  const chooser = h("select", { title: "manner of the overlay (O)", "aria-label": "manner of the overlay", onchange: () => (overlay.show(chooser.value), chooser.blur()) }, MODES.map(([mode, words]) => h("option", { value: mode }, words)));
  panels.overlay.querySelector(".modes").append(chooser, slider);

  function layer(which) {
    const on = !marks.map[which].getVisible();
    for (const [id] of PANELS) marks[id][which].setVisible(on);
    drawBar();
  }

  function setTool(chosen) {
    tool = chosen;
    main.querySelector(".panels").dataset.tool = tool;
    drawBar();
  }

  const whole = () => fitWhole(views[active], sizes[active]);

  // --- the side: verdict, fit, points ---
  const verdictCard = h("section", { class: "card verdict" });
  const fitCard = h("section", { class: "card fit" });
  const saved = h("span", { class: "saved", role: "status" });
  const file = h("input", { type: "file", accept: ".points,.geojson,.json,.csv", hidden: true, onchange: load });
  const tools = h("div", { class: "tools" });
  side.append(verdictCard, fitCard, h("section", { class: "card grow" }, h("header", {}, h("b", {}, "Points"), h("span", { class: "space" }), saved), table.element, tools, file));

  const button = (words, key, action, options = {}) => h("button", { onclick: action, title: key ? `${words} (${key})` : words, ...options }, words, key ? h("kbd", {}, key) : null);
  tools.replaceChildren(
    button("Propose", "S", propose, { disabled: !writable }), button("Delete", "Del", () => points.selected && points.remove(points.selected), { disabled: !writable }),
    button("Undo", "", () => points.undo()), button("Redo", "", () => points.redo()), button("Import", "", () => file.click(), { disabled: !writable }),
    h("select", { "aria-label": "export", onchange: (event) => (save(event.target.value), (event.target.value = "")) }, h("option", { value: "" }, "Export…"), [".points", ".geojson", ".csv"].map((form) => h("option", { value: form }, form))),
    button("History", "", history),
  );

  function status() {
    const verdict = document_.verdict;
    if (verdict) return holding ? verdict.verdict : "lapsed";
    return { done: "accepted", rejected: "needs-manual" }[site.state] ?? "pending";
  }
  const statusWords = () => ({ accepted: document_.verdict ? (document_.verdict.override ? "accepted (override)" : "accepted by a person") : "accepted", rejected: "rejected by a person", lapsed: "verdict lapsed", "needs-manual": "needs a person", pending: "not aligned yet" })[status()];

  function drawVerdict() {
    const verdict = document_.verdict;
    const said = verdict
      ? h("p", {}, h("b", {}, verdict.operator), ` ${verdict.verdict}`, verdict.reason ? `: ${verdict.reason}` : "", verdict.note ? ` (${verdict.note})` : "", h("small", {}, ` ${verdict.date.slice(0, 10)}`))
      : h("p", {}, h("b", {}, "Alignment: "), site.reason || (site.state === "done" ? `accepted (${site.aligned.method})` : "not run yet"));
    const running = trial.state === "running";
    const ended = trial.state === "ended" && (trial.error ? h("p", { class: "failed" }, `Align now: ${trial.error}`) : h("p", { class: trial.alignment.verdict === "accepted" ? "good" : "failed" }, `Align now: ${trial.alignment.verdict}`, trial.alignment.reason ? `, ${trial.alignment.reason}` : "", trial.alignment.residual_px !== null ? `, residual ${trial.alignment.residual_px.toFixed(2)} px` : ""));
    verdictCard.replaceChildren(
      said, ended || "",
      h("div", { class: "buttons" },
        button("Accept", "Y", accept, { class: "good", disabled: !writable }), button("Reject", "B", reject, { class: "bad", disabled: !writable }), button("Skip", "N", skip),
        button(running ? "Aligning… stop" : "Align now", "", running ? stopTrial : align, { disabled: !writable }), verdict ? button("Take back", "", () => settle(null), { disabled: !writable }) : null),
    );
  }
  const drawFit = () => fitCard.replaceChildren(h("header", {}, h("b", {}, "Fit")), ...fitWords(fit, points.list.length));

  function drawState() {
    saved.className = `saved ${saver.state}`;
    saved.textContent = { saved: "saved", unsaved: "not saved yet", saving: "saving…", failed: `not saved: ${saver.message}` }[saver.state];
  }

  // --- what buttons do ---
  async function propose() {
    const point = draft?.point ?? points.get(points.selected);
    if (!point || !writable) return toast("Select a point first.");
    try {
      const found = await post(`${path}/propose`, { point, points: points.list });
      if (draft ? draft.point !== point : points.get(point.name) !== point) return;
      if (draft) {
        draft = { side: "map", point };
        settleDraft(found.visible);
      } else points.move(point.name, { visible_x: found.visible[0], visible_y: found.visible[1], operator: about.operator, date: now() });
      toast(`Moved by ${Math.hypot(found.visible[0] - point.visible_x, found.visible[1] - point.visible_y).toFixed(2)} px to where the windows correlate best: score ${found.score.toFixed(2)}${found.reliable ? "" : ", not reliable: look closely, or undo"}`, found.reliable ? "good" : "bad");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async function settle(verdict) {
    await saver.flush();
    try {
      const said = await put(`${path}/verdict`, { verdict }, saver.tag);
      saver.adopt(said.tag, points.list);
      document_ = said.document;
      holding = said.holds;
      toast(verdict ? `${verdict.verdict}` : "taken back", verdict?.verdict === "rejected" ? "" : "good");
      draw();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 412) {
        document_ = error.value.document;
        holding = true;
        saver.adopt(error.value.tag, document_.points);
        points.replace(document_.points);
        toast("Somebody else changed this raster pair just now: look again.", "bad");
      } else if (error.value.failed) {
        const note = await askOverride(error.value.failed);
        if (note) return settle({ ...verdict, override: true, note });
      } else toast(error.message, "bad");
      return false;
    }
  }
  const accept = () => settle({ verdict: "accepted" });
  async function reject() {
    const why = await askReason(`Reject ${name}`, about.reasons);
    if (why) await settle({ verdict: "rejected", ...why });
  }
  async function skip() {
    const next = await nextSite(name);
    if (next) go(`site/${next}`);
    else toast("Nothing else is left that needs a person.");
  }

  async function align() {
    try {
      await saver.flush();
      trial = await post(`${path}/align`, {});
      draw();
      watch();
    } catch (error) {
      toast(error.message, "bad");
    }
  }
  async function stopTrial() {
    trial = await call("DELETE", `${path}/align`);
    draw();
  }
  async function watch() {
    while (!closed && trial.state === "running") {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      trial = await get(`${path}/align`);
    }
    if (!closed) draw();
  }

  async function history() {
    await saver.flush();
    const number = await askHistory(name);
    if (!number) return;
    try {
      const said = await call("POST", `${path}/revert`, { number }, { "If-Match": `"${saver.tag}"` });
      document_ = said.document;
      holding = said.holds;
      saver.adopt(said.tag, document_.points);
      points.edit(document_.points);
      toast(`Back at state ${number}`, "good");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async function load() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    try {
      const said = await post(`${path}/import`, { name: chosen.name, text: await chosen.text() });
      const list = [...points.list];
      for (const point of said.points) list.push(list.some((each) => each.name === point.name) ? { ...point, name: freeName(`${point.name}-0`, list) } : point);
      points.edit(list);
      toast(`${said.points.length} points from ${chosen.name}`, "good");
    } catch (error) {
      toast(error.message, "bad");
    }
  }
  async function save(form) {
    if (!form) return;
    const { text } = await post(`${path}/export`, { points: points.list, form });
    download(`${name.replace("/", "_")}${form}`, text);
  }

  function escape() {
    for (const [id] of PANELS) {
      loupes[id].hide();
      if (held[id].cancel()) {
        saver.paused = false;
        points.undo();
        return;
      }
    }
    if (draft) {
      draft = null;
      return drawMarks();
    }
    if (tool === "place") setTool("pan");
    else if (points.selected !== null) points.select(null);
    else if (main.querySelector(".panels").dataset.max) maximise(main.querySelector(".panels").dataset.max);
  }

  const zoom = (times) => views[active].getView().setResolution(views[active].getView().getResolution() / times);
  const arrows = (prefix, size) => [["ArrowLeft", -size, 0], ["ArrowRight", size, 0], ["ArrowUp", 0, -size], ["ArrowDown", 0, size]].map(([key, dx, dy]) => [prefix + key, "", () => nudge(dx, dy)]);
  setKeys([
    ["y", "accept", accept], ["b", "reject", reject], ["s", "propose the sub-pixel place of the selected point", propose],
    ["a", "place points: click on either side", () => setTool("place")], ["v", "pan", () => setTool("pan")],
    ["p", "place a point amid the active view", () => add(active, toPixel(views[active].getView().getCenter()))],
    ["Escape", "cancel; let go", escape], ["Delete Backspace", "delete the selected point", () => points.selected && writable && points.remove(points.selected)],
    ["]", "next point", () => (points.next(1), choose(points.selected))], ["[", "point before", () => (points.next(-1), choose(points.selected))],
    ["ArrowLeft ArrowRight ArrowUp ArrowDown", "move the selected point by 1 px on the active side, or pan; Shift 10 px, Ctrl 0.1 px", (event, key) => arrows("", 1).find(([each]) => each === key)[2]()],
    ...arrows("Shift+", 10), ...arrows("Ctrl+", 0.1),
    ["e", "other side active", () => activate({ map: "visible", visible: "overlay", overlay: "map" }[active])],
    ["1", "map alone, and back", () => maximise("map")], ["2", "image alone, and back", () => maximise("visible")], ["3", "overlay alone, and back", () => maximise("overlay")],
    ["o", "next manner of the overlay", () => { const at = MODES.findIndex(([mode]) => mode === overlay.mode); chooser.value = MODES[(at + 1) % MODES.length][0]; overlay.show(chooser.value); }],
    ["t", "automatic tie points", () => layer("automatic")], ["h", "where a point is missing: the expected error", () => layer("heat")], ["r", "residuals, 20 times as long", () => layer("arrows")],
    ["+ =", "closer", () => zoom(2)], ["-", "farther", () => zoom(0.5)], ["w", "whole", whole], ["z", "one raster pixel a screen pixel", () => views[active].getView().setResolution(1)],
    ["Ctrl+z", "undo", () => points.undo()], ["Ctrl+y Ctrl+Shift+z", "redo", () => points.redo()],
  ]);

  // --- what others do ---
  const looking = setInterval(async () => {
    if (document.hidden || saver.dirty || saver.paused) return;
    const said = await get(`${path}/tag`).catch(() => null);
    if (!said || closed || saver.dirty || said.tag === saver.tag) return;
    document_ = said.document;
    holding = said.holds;
    saver.adopt(said.tag, document_.points);
    points.replace(document_.points);
    toast("Somebody else changed this raster pair; this is how it is now.");
  }, 3000);

  activate("map");
  overlay.show("blend");
  setTool("pan");
  drawState();
  draw();
  if (trial.state === "running") watch();
  requestAnimationFrame(() => {
    for (const [id] of PANELS) views[id].updateSize();
    fitWhole(views.visible, sizes.visible);
  });
  main.pair = { views, points, saver, overlay, homography, fit: () => fit }; // for whoever looks from the console

  return async () => {
    clearInterval(looking);
    await saver.close();
    closed = true;
    clearTimeout(waitingOverlay);
    overlay.close();
    for (const [id] of PANELS) {
      loupes[id].close();
      views[id].setTarget(null);
    }
    delete main.pair;
    byId("toast").className = "";
  };
}
