// A virtualised gallery: only the rows on screen are in the document. Images come from the server's image route.
// data: key, base, suffix (of the addresses, if any), size, height, rows (Arrow: order, given, predicted, value, issue, decision, label), classes, decisions, selected, selectable, decides, fills,
// ack and last (numbers of the last entry that was written, and of the last that came to the server), token (of the log that acknowledges).
// Out: `selected` (positions), `log` [[number, token, keep | exclude | suggestion, positions]…], and as a trigger `open`.
// Beside a map they tell each other by the event "lsi-point" over which sample the pointer is.
const stores = new WeakMap();
const MARKS = { keep: "✓ keep", exclude: "✕ exclude", unsure: "? unsure", relabel: "✎ relabel" };

export default function (component) {
  const { parentElement, data, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".gallery");
  const sheet = parentElement.querySelector(".sheet");
  let s = stores.get(root);
  if (!s) {
    s = { tiles: new Map(), selected: new Set(), anchor: null, focus: 0, seq: data.last, log: [], status: parentElement.querySelector("[role=status]") };
    parentElement.querySelectorAll("[data-do]").forEach((b) => { b.onclick = () => choose(s, b.dataset.do); });
    s.acts = parentElement.querySelectorAll("[data-act]");
    s.acts.forEach((b) => { b.onclick = () => decide(s, b.dataset.act); });
    stores.set(root, s);
    root.addEventListener("scroll", () => {
      if (!s.waits) requestAnimationFrame(() => { s.waits = false; draw(s, false); });
      s.waits = true;
    }, { passive: true });
    new ResizeObserver(() => draw(s)).observe(root);
    window.addEventListener("lsi-point", function hear(event) {
      if (!root.isConnected) return window.removeEventListener("lsi-point", hear);
      if (event.detail.from === "gallery") return;
      s.pointed = event.detail.position;
      draw(s);
    });
  }
  const fresh = s.mark !== data.mark;
  Object.assign(s, {
    root, sheet, data, mark: data.mark, names: shortened(data.classes, data.size), ...columns(data.rows),
    publish: () => setStateValue("selected", [...s.selected]),
    open: (position) => setTriggerValue("open", position),
    act: (what, positions) => { s.log.push([++s.seq, s.token, what, positions]); setStateValue("log", s.log.slice()); },
  });
  if (s.token !== data.token) { // another session takes over: it gets what the one before has not acknowledged
    s.token = data.token;
    s.seq = data.last;
    s.log = s.log.map((entry) => [++s.seq, s.token, ...entry.slice(2)]);
    if (s.log.length) setStateValue("log", s.log.slice());
  }
  s.seq = Math.max(s.seq, data.last);
  s.log = s.log.filter((entry) => entry[0] > data.ack);
  if (data.key !== s.key) { // a new widget: nothing of another run stays selected
    s.key = data.key;
    s.selected = new Set(data.selected);
    s.anchor = null;
  }
  const held = root.contains(root.getRootNode().activeElement);
  if (fresh) {
    s.tiles.forEach((tile) => tile.remove());
    s.tiles.clear();
    s.focus = Math.max(0, Math.min(held ? s.focus : 0, s.order.length - 1));
    unselectHidden(s);
  }
  parentElement.querySelector(".tools").hidden = !data.selectable;
  root.onkeydown = (event) => keys(s, event);
  draw(s);
  if (held && fresh) s.tiles.get(s.focus)?.focus({ preventScroll: true });
}

// What has left the screen is not selected any more: a key decides about what one sees.
function unselectHidden(s) {
  if (!s.selected.size) return;
  const shown = new Set(s.order), still = [...s.selected].filter((i) => shown.has(i));
  if (still.length === s.selected.size) return;
  s.selected = new Set(still);
  s.publish();
}

function decide(s, key) {
  s.act({ k: "keep", x: "exclude", s: "suggestion" }[key], s.selected.size ? [...s.selected] : [s.order[s.focus]]);
}

function point(s, position) {
  if (s.told === position) return;
  s.told = position;
  window.dispatchEvent(new CustomEvent("lsi-point", { detail: { from: "gallery", position } }));
}

function choose(s, what) {
  const shown = [...s.order];
  s.selected = new Set(what === "all" ? shown : what === "invert" ? shown.filter((i) => !s.selected.has(i)) : []);
  draw(s);
  s.publish();
}

function columns(rows) {
  const names = ["order", "given", "predicted", "value", "issue", "decision", "label"];
  return Object.fromEntries(names.map((name) => [name, rows.getChild(name).toArray()]));
}

// Class names for a tile: of those that begin alike as far as it has room the middle goes, so that they stay apart.
function shortened(classes, size) {
  const room = Math.max(6, Math.floor((size - 26) / 6.5)), names = classes.map((name) => [...name]), starts = new Map();
  const start = (name) => name.slice(0, room - 1).join("");
  names.forEach((name) => starts.set(start(name), (starts.get(start(name)) || 0) + 1));
  return names.map((name, i) => name.length <= room || starts.get(start(name)) === 1 ? classes[i]
    : name.slice(0, Math.ceil(room / 2) - 1).join("") + "…" + name.slice(-Math.floor(room / 2)).join(""));
}

function layout(s) {
  const width = s.root.clientWidth - 8;
  const columns = Math.max(1, Math.floor(width / (s.data.size + 8)));
  return { step: Math.floor(width / columns), columns, height: s.data.size + 46 };
}

function measure(s) {
  s.grid = layout(s);
  const { columns, height } = s.grid, rows = Math.ceil(s.order.length / columns);
  s.status.textContent = s.selected.size ? `${s.selected.size.toLocaleString("en")} selected` : "";
  s.acts.forEach((b) => { b.hidden = !s.data.decides || !s.selected.size; });
  s.columns = columns;
  s.sheet.style.height = rows * height + "px";
  const top = s.root.getBoundingClientRect().top;
  if (top > 0) s.offset = top;
  const room = s.data.fills ? window.innerHeight - (s.offset || 150) - 44 : 0; // few samples need less
  s.root.style.height = Math.min(Math.max(s.data.height, room), rows * height + 14) + "px";
  s.seen = s.root.clientHeight;
}

// While the page scrolls only tiles that come are drawn; what stands keeps what it shows, until anything else changes.
function draw(s, whole = true) {
  if (whole || !s.grid) measure(s);
  const { step, columns, height } = s.grid;
  const down = s.root.scrollTop >= (s.top || 0), ahead = 10, behind = 3; // rows built before they come into view
  s.top = s.root.scrollTop;
  const first = Math.max(0, Math.floor(s.top / height) - (down ? behind : ahead)) * columns;
  const end = Math.ceil((s.top + s.seen) / height) + (down ? ahead : behind);
  const last = Math.min(s.order.length, end * columns), come = document.createDocumentFragment();
  s.tiles.forEach((tile, slot) => {
    if (slot < first || slot >= last) { tile.remove(); s.tiles.delete(slot); }
  });
  for (let slot = first; slot < last; slot++) {
    let tile = s.tiles.get(slot);
    if (tile && !whole) continue;
    if (!tile) { tile = build(s, slot); s.tiles.set(slot, tile); come.append(tile); }
    tile.style.transform = `translate(${(slot % columns) * step}px, ${Math.floor(slot / columns) * height}px)`;
    paint(s, tile, slot);
  }
  if (come.childElementCount) s.sheet.append(come);
}

function build(s, slot) {
  const tile = document.createElement("button");
  tile.type = "button";
  tile.className = "tile";
  const frame = document.createElement("span");
  frame.className = "frame";
  const image = document.createElement("img");
  image.decoding = "async";
  image.alt = "";
  image.onload = () => { image.classList.toggle("tiny", image.naturalWidth < 20); };
  const first = document.createElement("span");
  const second = document.createElement("span");
  const third = document.createElement("span");
  first.className = "name";
  second.className = "other";
  third.className = "value";
  const mark = document.createElement("span");
  mark.className = "mark";
  frame.append(image);
  tile.append(frame, first, second, third, mark);
  tile.onpointerenter = () => point(s, s.order[slot]);
  tile.onpointerleave = () => point(s, null);
  tile.onclick = (event) => click(s, slot, event);
  tile.ondblclick = () => { if (s.data.selectable) s.open(s.order[slot]); };
  return tile;
}

function paint(s, tile, slot) {
  const position = s.order[slot];
  const { size, base, classes, decisions } = s.data;
  tile.style.width = size + "px";
  const [frame, name, beside, value, mark] = tile.children;
  frame.style.height = size + "px";
  const image = frame.firstChild;
  const ask = [64, 128, 256].find((w) => w >= size) || 256;
  const source = base ? `${base}/${position}${s.data.suffix || ""}?size=${ask}` : "";
  if (source && image.getAttribute("src") !== source) image.setAttribute("src", source);
  if (!source) frame.dataset.text = s.data.texts[slot] || "";
  const label = s.label[slot], decision = decisions[s.decision[slot]];
  const shown = label >= 0 ? label : s.given[slot], now = classes[shown];
  const from = label >= 0 ? s.given[slot] : s.predicted[slot], how = label >= 0 ? "was " : "→ ";
  const other = from !== shown || label >= 0 ? how + classes[from] : "";
  name.textContent = s.names[shown];
  beside.textContent = other && how + s.names[from];
  tile.title = `${now}${other ? "\n" + other : ""}`;
  value.textContent = say(s.value[slot]);
  value.style.top = size - 20 + "px";
  mark.textContent = MARKS[decision] || "";
  tile.classList.toggle("hovered", s.pointed === position);
  const on = s.selected.has(position);
  tile.classList.toggle("selected", on);
  tile.classList.toggle("issue", s.issue[slot] === 1 && !decision);
  tile.classList.toggle("relabelled", label >= 0);
  tile.classList.toggle("excluded", decision === "exclude");
  if (s.data.selectable) tile.setAttribute("aria-pressed", on);
  tile.setAttribute("aria-label", [`sample ${position}`, now, other, value.textContent, decision].filter(Boolean).join(", "));
  tile.tabIndex = slot === s.focus ? 0 : -1;
}

// three digits that count, whole numbers in full; nothing where the value is missing
function say(value) {
  if (Number.isNaN(value)) return "(empty)";
  const size = Math.abs(value);
  if (size >= 1e12 || (size > 0 && size < 1e-6)) return value.toExponential(2);
  return Number.isInteger(value) || size >= 999.5 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

function click(s, slot, event) {
  const position = s.order[slot];
  if (!s.data.selectable) return s.open(position);
  const from = event.shiftKey && s.anchor !== null ? s.order.indexOf(s.anchor) : -1; // another order has it elsewhere
  if (from >= 0) {
    for (let i = Math.min(from, slot); i <= Math.max(from, slot); i++) s.selected.add(s.order[i]);
  } else {
    s.selected.has(position) ? s.selected.delete(position) : s.selected.add(position);
    s.anchor = position;
  }
  s.focus = slot;
  draw(s);
  s.publish();
}

function keys(s, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: s.columns, ArrowUp: -s.columns }[event.key];
  if (move) {
    s.focus = Math.max(0, Math.min(s.order.length - 1, s.focus + move));
    const { height } = layout(s);
    const top = Math.floor(s.focus / s.columns) * height;
    if (top < s.root.scrollTop) s.root.scrollTop = top;
    if (top + height > s.root.scrollTop + s.root.clientHeight) s.root.scrollTop = top + height - s.root.clientHeight;
    draw(s);
    s.tiles.get(s.focus)?.focus();
  } else if (event.key === "Enter") {
    s.open(s.order[s.focus]);
  } else if (event.key === " ") {
    click(s, s.focus, event);
  } else if (["a", "i", "Escape"].includes(event.key) && s.data.selectable) {
    choose(s, { a: "all", i: "invert", Escape: "none" }[event.key]);
  } else if (["k", "x", "s"].includes(event.key) && s.data.decides) {
    if (!event.repeat) decide(s, event.key); // a key that is held decides once
  } else if (event.key.length > 1) {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}
