// A run without a server: the app's gallery and map, fed from data.js. What is asked for stands in the address after #.
const site = window.LSI;
const KINDS = { given: Int32Array, predicted: Int32Array, lsi: Float32Array, score: Float32Array, rank: Int32Array, issue: Uint8Array, decision: Uint8Array, label: Int32Array, x: Float32Array, y: Float32Array };
const ORDERS = { most: ["Most information", "lsi", -1, "lsi"], least: ["Least information", "lsi", 1, "lsi"], suspect: ["Most suspect label", "rank", 1, "score"] }; // text, what orders, which way, what is shown
const WORDS = { keep: "kept", relabel: "relabelled", exclude: "excluded", unsure: "unsure" };
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const all = Object.fromEntries(Object.entries(site.columns).map(([name, text]) => [name, new KINDS[name](bytes(text))]));
const paint = Object.fromEntries(Object.entries(site.colours).map(([name, text]) => [name, new Uint32Array(bytes(text))]));
const n = all.lsi.length, hasMap = "x" in all, classified = site.task === "classification";
const MODES = { s: "set", a: "add", d: "subtract" }; // as the app writes lassos in its addresses
const find = (selector) => document.querySelector(selector);
const [controls, colours, dialog] = [".controls", ".colours", "dialog"].map(find);
const arrow = (columns) => ({ getChild: (name) => ({ toArray: () => columns[name] }) });
const searched = site.ids.map((id, i) => [id, site.texts[i] || "", ...(site.said[i] || []).flat()].join("\n").toLowerCase());
let lassos = [], shown = [], opened = null;

function option(select, value, text) {
  select.append(new Option(text, value));
}

function begin() {
  for (const [key, [text, column]] of Object.entries(ORDERS))
    if (column === "lsi" || site.task !== "self") option(controls.elements.order, key, classified ? text : text.replace("label", "target"));
  if (classified) site.classes.forEach((name, i) => option(controls.elements.class, String(i), name));
  option(controls.elements.decision, "0", "undecided");
  site.actions.slice(1).forEach((action, i) => option(controls.elements.decision, String(i + 1), WORDS[action]));
  Object.keys(paint).forEach((name, i) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "colour", value: name, checked: i === 0 });
    label.append(input, ` ${name}`);
    colours.append(label);
  });
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const element of [...controls.elements, ...colours.elements]) {
    const value = asked.get(element.name);
    if (value === null || !element.name) continue;
    if (["checkbox", "radio"].includes(element.type)) element.checked = element.value === value;
    else if (element.type === "search" || [...element.options].some((o) => o.value === value)) element.value = value;
  }
  lassos = hasMap ? asked.getAll("lasso").map(readLasso).filter(Boolean) : [];
  find("main").classList.toggle("alone", !hasMap);
  controls.oninput = colours.oninput = show;
  controls.onsubmit = (event) => event.preventDefault();
  find(".clear").onclick = () => { controls.reset(); lassos = []; show(); };
  dialog.querySelectorAll("[data-step]").forEach((b) => { b.onclick = () => step(Number(b.dataset.step)); });
  dialog.querySelector(".close").onclick = () => dialog.close();
  dialog.onkeydown = (event) => { if (event.key === "ArrowLeft") step(-1); if (event.key === "ArrowRight") step(1); };
  show();
}

function readLasso(text) {
  const points = text.slice(1).split("_").map((p) => p.split(",").map(Number));
  return text[0] in MODES && points.length > 2 && points.every((p) => p.length === 2 && p.every(Number.isFinite)) ? { mode: MODES[text[0]], points } : null;
}

function writeLasso(lasso) {
  return Object.keys(MODES).find((key) => MODES[key] === lasso.mode) + lasso.points.map((p) => p.join(",")).join("_");
}

// Corners are kept as the address writes them: it then shows exactly the same samples.
function rounded(lasso) {
  return { mode: lasso.mode, points: lasso.points.map((p) => p.map((v) => Math.round(v * 1e4) / 1e4)) };
}

function inside(x, y, points) { // by the even-odd rule
  let odd = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [[x1, y1], [x0, y0]] = [points[i], points[j]];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) odd = !odd;
  }
  return odd;
}

function lassoed(i) {
  return lassos.reduce((kept, l) => {
    const is = inside(all.x[i], all.y[i], l.points);
    return l.mode === "set" ? is : l.mode === "add" ? kept || is : kept && !is;
  }, lassos[0].mode === "subtract");
}

function show() {
  const asked = Object.fromEntries(new FormData(controls)), text = asked.text.trim().toLowerCase();
  const [, column, way, value] = ORDERS[asked.order];
  shown = Int32Array.from({ length: n }, (_, i) => i).filter((i) =>
    (!asked.class || all.given[i] === Number(asked.class)) && (!asked.suspected || all.issue[i])
    && (!asked.decision || all.decision[i] === Number(asked.decision)) && searched[i].includes(text)
    && (!lassos.length || lassoed(i)));
  shown.sort((a, b) => way * (all[column][a] - all[column][b]) || a - b);
  find("output").value = shown.length < n ? `${shown.length.toLocaleString("en")} of ${n.toLocaleString("en")} ${site.noun}` : `All ${n.toLocaleString("en")} ${site.noun}`;
  find(".clear").hidden = shown.length === n;
  const rows = Object.fromEntries(["given", "predicted", "issue", "decision", "label"].map((name) => [name, all[name].constructor.from(shown, (i) => all[name][i])]));
  gallery({
    parentElement: find(".left"), setStateValue: () => {}, setTriggerValue: (_, position) => open(position),
    data: { key: "site", mark: shown.join(), base: site.base, suffix: site.suffix, size: 128, height: 320, classes: site.classes, decisions: site.actions,
      rows: arrow({ ...rows, order: shown, value: Float32Array.from(shown, (i) => all[value][i]) }),
      texts: Array.from(shown, (i) => site.texts[i]), selected: [], selectable: false, decides: false, fills: true, ack: 0, last: 0 },
  });
  drawMap();
  const address = new URLSearchParams([...new FormData(controls), ...new FormData(colours)].filter(([, value]) => value));
  lassos.forEach((l) => address.append("lasso", writeLasso(l)));
  history.replaceState(null, "", `#${address}`);
}

function drawMap() {
  if (!hasMap) return;
  const name = new FormData(colours).get("colour"), legend = site.legends[name];
  const grey = new Uint32Array(new Uint8Array([150, 150, 150, 60]).buffer)[0], color = new Uint32Array(n).fill(grey);
  shown.forEach((i) => { color[i] = paint[name][i]; });
  map({
    parentElement: find(".right"),
    setStateValue: (_, drawn) => { lassos = drawn.map(rounded); show(); },
    setTriggerValue: (what, value) => (what === "open" ? open(value) : choose(name, value)),
    data: { mark: "site", base: site.base, suffix: site.suffix, classes: site.classes, legend, tool: "lasso", focus: opened, height: 640, lassos,
      filters: { Class: site.classes, Suspected: ["suspected"] }[name] || [],
      points: arrow({ x: all.x, y: all.y, color, given: all.given, predicted: all.predicted, value: all.lsi }) },
  });
}

function choose(kind, text) { // an entry of the legend was clicked
  if (kind === "Class") controls.elements.class.value = String(site.classes.indexOf(text));
  else controls.elements.suspected.checked = true;
  show();
}

function open(position) {
  opened = position;
  const [image, text] = dialog.querySelector(".picture").children, [tags, notes] = site.said[position] || [[], []];
  if (site.base) image.src = `${site.base}/${position}${site.suffix}`;
  image.onload = () => image.classList.toggle("tiny", image.naturalWidth < 20);
  text.textContent = site.texts[position] || "";
  dialog.querySelector("h2").textContent = site.ids[position];
  const lsi = all.lsi[position], label = all.label[position], action = site.actions[all.decision[position]], words = [action && WORDS[action], label >= 0 && `as ${site.classes[label]}`];
  const facts = [
    [classified ? "given label" : "given", site.classes[all.given[position]]],
    ["predicted without it", site.classes[all.predicted[position]]],
    ["information (LSI)", `${lsi >= 999.5 ? Math.round(lsi).toLocaleString("en") : Number(lsi.toPrecision(4))} nats`],
    [classified ? "label score" : "target score", site.task === "self" || Number.isNaN(all.score[position]) ? "" : all.score[position].toFixed(4)],
    ["suspected", site.task === "self" ? "" : all.issue[position] ? "yes" : "no"],
    ["decided", words.filter(Boolean).join(" ")], ["tags", tags.join(", ")], ["notes", notes.join("\n")],
  ];
  dialog.querySelector("dl").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) =>
    [["dt", name], ["dd", value]].map(([kind, words]) => Object.assign(document.createElement(kind), { textContent: words }))));
  const at = shown.indexOf(position);
  dialog.querySelectorAll("[data-step]").forEach((b) => { b.disabled = at < 0 || !(at + Number(b.dataset.step) in shown); });
  if (!dialog.open) dialog.showModal();
  drawMap();
}

function step(by) {
  const next = shown[shown.indexOf(opened) + by];
  if (next !== undefined) open(next);
}

begin();
