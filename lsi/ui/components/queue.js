// The review queue: one key a decision. Decisions are a numbered log that Python confirms, so none is lost or taken twice.
// data: items [{i, id, text, given, suggested, top: [[class, probability]…], decision, label, near: [[i, class]…]}], classes,
// typical {class: [i…]}, base, ack and last (numbers of the last entry that was written, and of the last that came to the
// server), token (of the log that acknowledges), at, revision, read_only.
// Out: `log` [[number, token, i, action, class]…], `current`.
const stores = new WeakMap();
const LABELS = { keep: "kept", exclude: "excluded", unsure: "unsure", relabel: "relabelled", clear: "" };
const KEYS = { k: "keep", s: "suggestion", Enter: "suggestion", x: "exclude", u: "unsure", b: "back", ArrowLeft: "back",
  Backspace: "back", ArrowRight: "skip", " ": "skip", z: "undo", n: "next", p: "pixels", "+": "in", "-": "out", 0: "whole" };
const TYPING = "input, textarea, select, [contenteditable=true], [role=slider], [role=combobox], [role=option], [role=dialog]";
const SHOWN = 8; // classes in the list below the field
const TRAVEL = 80; // ms in which what a component tells Streamlit has left for the server
let latest = null; // the queue on the page, which keys are for while no field has the focus

document.addEventListener("pointerdown", () => { if (latest) latest.typing = false; });
// What is sent names this page: sent after a link was followed, it brings the page back. So a link waits for it.
document.addEventListener("click", (event) => {
  const link = event.composedPath()[0].closest?.("a[href]"), s = latest;
  if (!link || !s?.root.isConnected || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!s.sending && !s.timer && performance.now() - (s.sent || 0) > TRAVEL) return;
  if (s.sending) send(s);
  if (s.timer) publish(s);
  event.preventDefault();
  event.stopImmediatePropagation();
  setTimeout(() => link.click(), TRAVEL + 20);
}, true);
document.addEventListener("keydown", (event) => {
  const target = event.composedPath()[0];
  if (!latest?.root.isConnected || event.defaultPrevented || latest.root.contains(target)) return;
  if (target.closest?.(TYPING) || (target.closest?.("button, a, summary") && (event.key === "Enter" || event.key === " "))) return;
  if (event.key.startsWith("Arrow") && target.closest?.("[role]")) return;
  key(latest, event);
});

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".queue");
  let s = stores.get(root);
  if (!s) {
    s = { seq: data.last, log: [], at: data.at || 0, decisions: new Map(), own: [], zoom: 1, shift: [0, 0] };
    stores.set(root, s);
    window.addEventListener("pagehide", () => send(s));
  }
  const takesOver = s.token !== data.token; // another session: it gets what the one before has not acknowledged
  if (takesOver) {
    s.token = data.token;
    s.seq = data.last;
    s.log = s.log.map((entry) => [++s.seq, s.token, ...entry.slice(2)]);
  }
  if (s.seq < data.last) s.seq = data.last;
  s.log = s.log.filter((entry) => entry[0] > data.ack);
  const fresh = s.mark !== data.mark;
  if (fresh) { s.mark = data.mark; s.at = data.at || 0; s.decisions.clear(); s.own = []; }
  if (s.revision !== data.revision) { s.revision = data.revision; s.decisions.clear(); s.log.forEach((e) => { e[3] === "undo" ? s.decisions.delete(e[2]) : s.decisions.set(e[2], [e[3], e[4]]); }); }
  Object.assign(s, { root, data, setStateValue });
  if (takesOver) send(s);
  latest = s;
  root.onkeydown = (event) => key(s, event);
  root.querySelectorAll("button[data-do]").forEach((b) => {
    b.onclick = () => { act(s, b.dataset.do); root.focus({ preventScroll: true }); };
    b.hidden = data.read_only && b.dataset.do in { keep: 1, suggestion: 1, exclude: 1, unsure: 1, undo: 1 };
  });
  search(s);
  panning(s);
  draw(s);
  if (!s.started) root.focus({ preventScroll: true });
  if (!s.started || fresh) { s.started = true; publish(s); } // the page below shows what goes with the sample on screen
}

function key(s, event) {
  if (event.key === "Tab") s.typing = false;
  if (s.typing && writes(event)) return write(s, event);
  const undo = (event.ctrlKey || event.metaKey) && event.key === "z";
  if (!undo && (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT")) return;
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const decides = action in { keep: 1, suggestion: 1, exclude: 1, unsure: 1, undo: 1 } || (event.key >= "1" && event.key <= "9");
  if (event.repeat && decides) { event.preventDefault(); event.stopPropagation(); return; } // a key that is held decides once
  if (action) act(s, action);
  else if (event.key === "/" && !s.data.read_only) { s.typing = true; s.root.querySelector("input").focus(); }
  else if (event.key >= "1" && event.key <= "9") {
    const choice = s.data.items[s.at]?.top[Number(event.key) - 1];
    if (choice) decide(s, choice[0] === s.data.items[s.at].given ? "keep" : "relabel", choice[0]);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

// After / keys write, also where the page took the focus from the field meanwhile: none of them may decide.
function writes(event) {
  return event.target.tagName !== "INPUT" && !event.ctrlKey && !event.metaKey && !event.altKey;
}

function write(s, event) {
  const typed = s.root.querySelector("input");
  typed.focus();
  if (event.key.length === 1) { typed.value += event.key; typed.oninput(); event.stopPropagation(); } else typed.onkeydown(event);
  event.preventDefault();
}

function act(s, what) {
  const item = s.data.items[s.at];
  if (what === "back") return go(s, s.at - 1);
  if (what === "next") return go(s, next(s));
  if (what === "undo") return undo(s);
  if (what === "pixels") { s.pixels = !s.pixels; return draw(s); }
  if (what === "in" || what === "out" || what === "whole") return zoom(s, what === "whole" ? 1 / s.zoom : what === "in" ? 1.5 : 1 / 1.5);
  if (!item) return;
  if (what === "skip") return go(s, s.at + 1);
  if (what === "suggestion") {
    if (item.suggested !== null) decide(s, "relabel", item.suggested);
    return;
  }
  decide(s, what, null);
}

function next(s) {
  const { items } = s.data;
  for (let step = 1; step <= items.length; step++) {
    const at = (s.at + step) % items.length;
    if (!decision(s, items[at])) return at;
  }
  return items.length;
}

function decision(s, item) {
  const found = s.decisions.get(item.i) || (item.decision && [item.decision, item.label]);
  return found && found[0] !== "clear" ? found : null;
}

function decide(s, action, label) {
  const item = s.data.items[s.at];
  if (!item || s.data.read_only) return;
  label = action === "relabel" ? label : null;
  s.own.push([s.at, item.i, decision(s, item)]);
  s.decisions.set(item.i, [action, label]);
  note(s, item.i, action, label);
  go(s, s.at + 1);
}

function undo(s) {
  if (s.data.read_only) return;
  const last = s.own.pop();
  if (last) s.decisions.set(last[1], last[2] || ["clear", null]);
  note(s, last ? last[1] : -1, "undo", null);
  if (last) go(s, last[0]);
}

function note(s, position, action, label) {
  s.log.push([++s.seq, s.token, position, action, label]);
  if (!s.sending) s.sending = setTimeout(() => send(s), 150); // quick keys travel together
}

function send(s) {
  clearTimeout(s.sending);
  s.sending = null;
  s.sent = performance.now();
  if (s.log.length) s.setStateValue("log", s.log.slice());
}

function go(s, to) {
  s.at = Math.max(0, Math.min(s.data.items.length, to));
  s.zoom = 1;
  s.shift = [0, 0];
  draw(s);
  s.root.querySelector(".picture").scrollTop = 0;
  clearTimeout(s.timer);
  s.timer = setTimeout(() => publish(s), 300);
}

function publish(s) {
  clearTimeout(s.timer);
  s.timer = null;
  s.sent = performance.now();
  const item = s.data.items[s.at];
  if (item) s.setStateValue("current", item.i);
}

// The field for another class: names that begin with what is typed, then those that hold it; Enter takes the marked one.
function search(s) {
  const typed = s.root.querySelector("input"), list = s.root.querySelector(".found"), none = s.root.querySelector(".none");
  const close = () => { s.typing = false; typed.value = ""; list.replaceChildren(); none.textContent = ""; typed.setAttribute("aria-expanded", "false"); s.root.focus({ preventScroll: true }); };
  const take = (label) => { close(); decide(s, label === s.data.items[s.at]?.given ? "keep" : "relabel", label); };
  const mark = (to) => {
    s.marked = to;
    [...list.children].forEach((entry, i) => entry.setAttribute("aria-selected", String(i === to)));
    typed.setAttribute("aria-activedescendant", list.children[to]?.id || "");
  };
  s.root.querySelector(".type").hidden = s.data.read_only;
  typed.oninput = () => {
    const want = typed.value.trim().toLowerCase();
    const at = s.data.classes.map((name, label) => [name.toLowerCase().indexOf(want), label]).filter((e) => e[0] >= 0);
    at.sort((a, b) => Math.min(a[0], 1) - Math.min(b[0], 1) || a[1] - b[1]);
    const found = want ? at.slice(0, SHOWN).map((e) => e[1]) : [];
    list.replaceChildren(...found.map((label, i) => {
      const entry = Object.assign(document.createElement("li"), { id: `lsi-found-${i}`, textContent: s.data.classes[label] });
      entry.setAttribute("role", "option");
      entry.onmousedown = (event) => { event.preventDefault(); take(label); };
      entry.dataset.label = label;
      return entry;
    }));
    typed.setAttribute("aria-expanded", String(found.length > 0));
    none.textContent = !want || found.length ? (at.length > SHOWN && want ? `and ${at.length - SHOWN} more` : "") : `No class holds “${typed.value.trim()}”.`;
    mark(0);
  };
  typed.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Tab") s.typing = false;
    const entries = list.children;
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      mark((s.marked + (event.key === "ArrowDown" ? 1 : entries.length - 1)) % Math.max(entries.length, 1));
      event.preventDefault();
    } else if (event.key === "Enter" && !event.repeat && entries[s.marked]) take(Number(entries[s.marked].dataset.label));
  };
}

// A closer look: the wheel or + and −, and dragging.
function panning(s) {
  const frame = s.root.querySelector(".picture");
  frame.onwheel = (event) => { if (!s.data.base) return; event.preventDefault(); zoom(s, event.deltaY < 0 ? 1.2 : 1 / 1.2); };
  frame.ondblclick = () => zoom(s, s.zoom > 1 ? 1 / s.zoom : 2);
  frame.onpointerdown = (event) => { if (s.zoom > 1) { s.drag = [event.clientX - s.shift[0], event.clientY - s.shift[1]]; frame.setPointerCapture(event.pointerId); } };
  frame.onpointermove = (event) => { if (s.drag) { s.shift = [event.clientX - s.drag[0], event.clientY - s.drag[1]]; place(s); } };
  frame.onpointerup = frame.onpointercancel = () => { s.drag = null; };
}

function zoom(s, factor) {
  s.zoom = Math.max(1, Math.min(16, s.zoom * factor));
  s.shift = s.zoom === 1 ? [0, 0] : s.shift.map((v) => v * factor);
  place(s);
}

function place(s) {
  s.root.querySelector("img").style.transform = s.zoom === 1 ? "" : `translate(${s.shift[0]}px, ${s.shift[1]}px) scale(${s.zoom})`;
}

function draw(s) {
  const { items, classes, base } = s.data;
  const item = items[s.at];
  const q = (selector) => s.root.querySelector(selector);
  const settled = items.filter((it) => decision(s, it)).length;
  const mine = new Set(s.own.map((entry) => entry[1])).size;
  q(".progress").textContent = `${Math.min(s.at + 1, items.length)} of ${items.length} · ${settled} decided` + (mine ? ` · ${mine} since you opened it` : "");
  q(".bar span").style.width = (items.length ? (100 * settled) / items.length : 0) + "%";
  s.root.dataset.position = item ? item.i : "";
  q(".done").hidden = !!item;
  q(".done span").textContent = settled === items.length ? "All of them are decided." : `That was the last one; ${items.length - settled} ${items.length - settled === 1 ? "is" : "are"} undecided.`;
  q(".work").hidden = !item;
  if (!item) return;
  const image = q(".picture img");
  image.classList.toggle("pixels", !!s.pixels);
  q("[data-do=pixels]").setAttribute("aria-pressed", String(!!s.pixels));
  const source = base ? `${base}/${item.i}?size=512` : "";
  if (source && image.getAttribute("src") !== source) image.setAttribute("src", source);
  image.alt = `image ${item.i}, labelled ${classes[item.given]}`;
  place(s);
  q(".picture").classList.toggle("reads", !base);
  q(".look").hidden = !base;
  q(".left").hidden = !base && !item.text;
  q(".text").textContent = item.text || "";
  for (let ahead = 1; ahead < 4 && base; ahead++) {
    const following = items[s.at + ahead];
    if (following) new Image().src = `${base}/${following.i}?size=512`;
  }
  q(".given").textContent = classes[item.given];
  q(".id").textContent = item.id;
  const decided = decision(s, item);
  q(".decision").textContent = decided && LABELS[decided[0]] ? LABELS[decided[0]] + (decided[1] != null ? " as " + classes[decided[1]] : "") : "";
  q(".classes").replaceChildren(...item.top.map(([c, p], n) => row(s, item, c, p, n)));
  const suggested = item.suggested;
  q("[data-do=suggestion]").hidden = s.data.read_only || suggested === null;
  q(".evidence").replaceChildren(...(base ? [
    strip(s, "Typical", classes[item.given], (s.data.typical[item.given] || []).map((i) => [i, item.given])),
    suggested !== null && strip(s, "Typical", classes[suggested], (s.data.typical[suggested] || []).map((i) => [i, suggested])),
    strip(s, "Most alike, with a label that is not suspected", "", item.near || [], true),
  ].filter(Boolean) : []));
}

function row(s, item, c, p, n) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "class" + (c === item.given ? " is-given" : "");
  button.disabled = s.data.read_only;
  button.onclick = () => { decide(s, c === item.given ? "keep" : "relabel", c); s.root.focus({ preventScroll: true }); };
  const number = document.createElement("kbd");
  number.textContent = n + 1;
  const name = document.createElement("span");
  name.textContent = s.data.classes[c] + (c === item.given ? " (given)" : "");
  const share = document.createElement("span");
  share.className = "share";
  share.textContent = (100 * p).toFixed(p < 0.1 ? 1 : 0) + " %";
  const meter = document.createElement("i");
  meter.style.width = 100 * p + "%";
  button.append(number, name, share, meter);
  return button;
}

function strip(s, words, name, entries, isNamed) {
  if (!entries.length) return null;
  const part = document.createElement("div");
  const title = document.createElement("p");
  title.textContent = words;
  if (name) title.append(" ", Object.assign(document.createElement("strong"), { textContent: name }));
  const images = document.createElement("div");
  images.className = "strip";
  images.append(...entries.map(([i, c]) => {
    const figure = document.createElement("figure");
    const image = Object.assign(document.createElement("img"), { src: `${s.data.base}/${i}?size=128`, loading: "lazy", alt: s.data.classes[c], title: s.data.classes[c] });
    figure.append(image);
    if (isNamed) figure.append(Object.assign(document.createElement("figcaption"), { textContent: s.data.classes[c] }));
    return figure;
  }));
  part.append(title, images);
  return part;
}
