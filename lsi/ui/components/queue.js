// The review queue: one key a decision. Decisions are a numbered log that Python confirms, so none is lost or taken twice.
// data: items [{i, id, given, top: [[class, probability]…], decision}], classes, base, ack, at. Out: `log`, `current`.
const stores = new WeakMap();
const LABELS = { keep: "kept", exclude: "excluded", unsure: "unsure", relabel: "relabelled", clear: "" };

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".queue");
  let s = stores.get(root);
  if (!s) {
    s = { seq: data.ack, log: [], at: data.at || 0, decisions: new Map() };
    stores.set(root, s);
    window.addEventListener("pagehide", () => send(s));
  }
  if (s.seq < data.ack) s.seq = data.ack;
  s.log = s.log.filter((entry) => entry[0] > data.ack);
  if (s.mark !== data.mark) { s.mark = data.mark; s.at = data.at || 0; s.decisions.clear(); }
  if (s.revision !== data.revision) { s.revision = data.revision; s.decisions.clear(); s.log.forEach((e) => s.decisions.set(e[1], [e[2], e[3]])); }
  Object.assign(s, { root, data, setStateValue });
  root.onkeydown = (event) => key(s, event);
  root.querySelectorAll("button[data-do]").forEach((b) => { b.onclick = () => { act(s, b.dataset.do); root.focus(); }; });
  const typed = root.querySelector("input");
  typed.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Escape") root.focus();
    if (event.key !== "Enter") return;
    const want = typed.value.trim().toLowerCase();
    const exact = data.classes.findIndex((c) => c.toLowerCase() === want);
    const label = exact >= 0 ? exact : data.classes.findIndex((c) => c.toLowerCase().startsWith(want));
    if (want && label >= 0) { typed.value = ""; decide(s, "relabel", label); root.focus(); }
  };
  const options = root.querySelector("datalist");
  if (options.childElementCount !== data.classes.length) {
    options.replaceChildren(...data.classes.map((c) => Object.assign(document.createElement("option"), { value: c })));
  }
  draw(s);
  if (!s.started) { s.started = true; root.focus({ preventScroll: true }); publish(s); }
}

function key(s, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const action = { k: "keep", s: "suggestion", Enter: "suggestion", x: "exclude", u: "unsure", b: "back",
    ArrowLeft: "back", Backspace: "back", ArrowRight: "skip", " ": "skip" }[event.key];
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  if (action) act(s, action);
  else if (event.key === "/") s.root.querySelector("input").focus();
  else if (event.key >= "1" && event.key <= "9") {
    const choice = s.data.items[s.at]?.top[Number(event.key) - 1];
    if (choice) decide(s, choice[0] === s.data.items[s.at].given ? "keep" : "relabel", choice[0]);
  } else if (event.key.length > 1) return;
  event.preventDefault();
  event.stopPropagation();
}

function act(s, what) {
  const item = s.data.items[s.at];
  if (what === "back") return go(s, s.at - 1);
  if (!item) return;
  if (what === "skip") return go(s, s.at + 1);
  if (what === "suggestion") {
    const other = item.top.find((t) => t[0] !== item.given);
    return other && decide(s, "relabel", other[0]);
  }
  decide(s, what, null);
}

function decide(s, action, label) {
  const item = s.data.items[s.at];
  if (!item || s.data.read_only) return;
  label = action === "relabel" ? label : null;
  s.decisions.set(item.i, [action, label]);
  s.log.push([++s.seq, item.i, action, label]);
  if (!s.sending) s.sending = setTimeout(() => send(s), 150); // quick keys travel together
  go(s, s.at + 1);
}

function send(s) {
  clearTimeout(s.sending);
  s.sending = null;
  if (s.log.length) s.setStateValue("log", s.log.slice());
}

function go(s, to) {
  s.at = Math.max(0, Math.min(s.data.items.length, to));
  draw(s);
  clearTimeout(s.timer);
  s.timer = setTimeout(() => publish(s), 300);
}

function publish(s) {
  const item = s.data.items[s.at];
  if (item) s.setStateValue("current", item.i);
}

function draw(s) {
  const { items, classes, base } = s.data;
  const item = items[s.at];
  const q = (selector) => s.root.querySelector(selector);
  const settled = items.filter((it) => s.decisions.has(it.i) || it.decision).length;
  q(".progress").textContent = `${Math.min(s.at + 1, items.length)} of ${items.length} · ${settled} decided`;
  q(".bar span").style.width = (items.length ? (100 * settled) / items.length : 0) + "%";
  s.root.dataset.position = item ? item.i : "";
  q(".done").hidden = !!item;
  q(".work").hidden = !item;
  if (!item) return;
  const image = q("img");
  image.onload = () => { image.classList.toggle("tiny", image.naturalWidth * 4 < image.clientWidth); };
  const source = base ? `${base}/${item.i}?size=512` : "";
  if (source && image.getAttribute("src") !== source) image.setAttribute("src", source);
  image.alt = `image ${item.i}, labelled ${classes[item.given]}`;
  q(".text").textContent = item.text || "";
  for (let ahead = 1; ahead < 4 && base; ahead++) {
    const next = items[s.at + ahead];
    if (next) new Image().src = `${base}/${next.i}?size=512`;
  }
  q(".given").textContent = classes[item.given];
  q(".id").textContent = item.id;
  const decision = s.decisions.get(item.i) || (item.decision && [item.decision, item.label]);
  q(".decision").textContent = decision && LABELS[decision[0]] ? LABELS[decision[0]] + (decision[1] != null ? " as " + classes[decision[1]] : "") : "";
  q(".classes").replaceChildren(...item.top.map(([c, p], n) => {
    const row = document.createElement("button");
    row.type = "button";
    row.className = "class" + (c === item.given ? " is-given" : "");
    row.onclick = () => { decide(s, c === item.given ? "keep" : "relabel", c); s.root.focus(); };
    const number = document.createElement("kbd");
    number.textContent = n + 1;
    const name = document.createElement("span");
    name.textContent = classes[c] + (c === item.given ? " (given)" : "");
    const share = document.createElement("span");
    share.className = "share";
    share.textContent = (100 * p).toFixed(p < 0.1 ? 1 : 0) + " %";
    const meter = document.createElement("i");
    meter.style.width = 100 * p + "%";
    row.append(number, name, share, meter);
    return row;
  }));
}
