// The map: points in WebGL, lasso by dragging (shift adds, alt subtracts), wheel zooms, right or middle drag moves; by
// keys arrows step from point to point. A finger scrolls the page, and a tap opens. "lsi-point" links it to a gallery.
// data: points (Arrow: x, y, color as RGBA bytes in a number, given, predicted, value), classes, legend, base, suffix, lassos,
// height, filters. Out: `lassos` [{mode, points}], triggers `open` (position) and `entry` (a value of the legend).
const stores = new WeakMap();

const VERTEX = `attribute vec2 p; attribute vec4 c; uniform vec4 view; uniform float size; varying vec4 color;
void main() { gl_Position = vec4((p - view.xy) * view.zw, 0.0, 1.0); gl_PointSize = size; color = c; }`;
const FRAGMENT = `precision mediump float; varying vec4 color;
void main() { vec2 d = gl_PointCoord - 0.5; if (dot(d, d) > 0.25) discard; gl_FragColor = vec4(color.rgb * color.a, color.a); }`;

export default function (component) {
  const { parentElement, data, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".map");
  let s = stores.get(root);
  if (!s) {
    s = setup(root);
    stores.set(root, s);
  }
  Object.assign(s, { data, setStateValue, setTriggerValue });
  if (s.mark !== data.mark) {
    s.mark = data.mark;
    const x = data.points.getChild("x").toArray(), y = data.points.getChild("y").toArray();
    s.xy = new Float32Array(2 * x.length);
    for (let i = 0; i < x.length; i++) { s.xy[2 * i] = x[i]; s.xy[2 * i + 1] = y[i]; }
    upload(s, s.points, s.xy);
    bounds(s);
    index(s);
  }
  upload(s, s.colors, Uint32Array.from(data.points.getChild("color").toArray()));
  s.about = Object.fromEntries(["given", "predicted", "value"].map((name) => [name, data.points.getChild(name).toArray()]));
  root.querySelector(".legend").replaceChildren(...data.legend.map(([color, text, lower, value = text]) => {
    const filters = data.filters.includes(value), mark = document.createElement("i");
    const entry = document.createElement(filters ? "button" : "span");
    if (filters) { entry.type = "button"; entry.title = `Show ${value} only`; entry.onclick = () => s.setTriggerValue("entry", value); }
    else if (value !== text) entry.title = value;
    mark.style.background = color;
    mark.classList.toggle("scale", lower !== "");
    entry.append(lower, mark, text);
    return entry;
  }));
  s.lassos = (data.lassos || []).map((l) => ({ mode: l.mode, points: l.points }));
  if (s.focus !== data.focus && data.focus != null) s.center = [s.xy[2 * data.focus], s.xy[2 * data.focus + 1]];
  s.focus = data.focus;
  root.style.height = Math.min(data.height, Math.max(320, window.innerHeight - 190)) + "px";
  draw(s);
}

function setup(root) {
  const canvas = root.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: true });
  const s = { root, canvas, gl, overlay: root.querySelector("svg"), tip: root.querySelector(".tip"), path: null };
  const compile = (kind, text) => { const x = gl.createShader(kind); gl.shaderSource(x, text); gl.compileShader(x); return x; };
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  s.program = program;
  s.points = gl.createBuffer();
  s.colors = gl.createBuffer();
  new ResizeObserver(() => draw(s)).observe(root);
  const shown = s.tip.querySelector("img");
  shown.onload = () => { shown.classList.toggle("tiny", shown.naturalWidth < 20); };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.onpointerdown = (event) => down(s, event);
  canvas.onpointermove = (event) => moved(s, event);
  canvas.onpointerup = (event) => up(s, event);
  canvas.onpointerleave = () => { s.tip.hidden = true; point(s, null); };
  canvas.onpointercancel = () => { s.path = s.pan = null; draw(s); };
  canvas.onkeydown = (event) => keys(s, event);
  root.querySelectorAll("[data-do]").forEach((b) => { b.onclick = () => look(s, b.dataset.do); });
  window.addEventListener("lsi-point", function hear(event) {
    if (!root.isConnected) return window.removeEventListener("lsi-point", hear);
    if (event.detail.from === "map" || !s.xy) return;
    s.pointed = event.detail.position;
    draw(s);
  });
  canvas.addEventListener("wheel", (event) => zoom(s, event), { passive: false });
  return s;
}

function upload(s, buffer, values) {
  s.gl.bindBuffer(s.gl.ARRAY_BUFFER, buffer);
  s.gl.bufferData(s.gl.ARRAY_BUFFER, values, s.gl.STATIC_DRAW);
}

function bounds(s) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < s.xy.length; i += 2) {
    x0 = Math.min(x0, s.xy[i]); x1 = Math.max(x1, s.xy[i]);
    y0 = Math.min(y0, s.xy[i + 1]); y1 = Math.max(y1, s.xy[i + 1]);
  }
  const pad = 0.04 * Math.max(x1 - x0, y1 - y0, 1e-6);
  s.box = [x0 - pad, y0 - pad, x1 + pad, y1 + pad];
  s.center = [(x0 + x1) / 2, (y0 + y1) / 2];
  s.zoom = 1;
}

// a grid of buckets to find the point under the mouse
function index(s) {
  const n = s.xy.length / 2, side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n))));
  const [x0, y0, x1, y1] = s.box, start = new Uint32Array(side * side + 1), cell = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const cx = Math.min(side - 1, Math.floor(((s.xy[2 * i] - x0) / (x1 - x0)) * side));
    const cy = Math.min(side - 1, Math.floor(((s.xy[2 * i + 1] - y0) / (y1 - y0)) * side));
    cell[i] = cy * side + cx;
    start[cell[i] + 1]++;
  }
  for (let c = 0; c < side * side; c++) start[c + 1] += start[c];
  const fill = start.slice(), members = new Uint32Array(n);
  for (let i = 0; i < n; i++) members[fill[cell[i]]++] = i;
  s.grid = { side, start, members };
}

function scale(s) {
  const [x0, y0, x1, y1] = s.box, w = s.canvas.clientWidth || 1, h = s.canvas.clientHeight || 1;
  const unit = Math.min(w / (x1 - x0), h / (y1 - y0)) * s.zoom; // px a unit, the same on both axes
  return { w, h, unit };
}

const toData = (s, x, y) => { const { w, h, unit } = scale(s); return [s.center[0] + (x - w / 2) / unit, s.center[1] - (y - h / 2) / unit]; };
const toScreen = (s, x, y) => { const { w, h, unit } = scale(s); return [w / 2 + (x - s.center[0]) * unit, h / 2 - (y - s.center[1]) * unit]; };

function draw(s) {
  if (!s.xy) return;
  const { gl, canvas } = s, ratio = window.devicePixelRatio || 1, { w, h, unit } = scale(s);
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT);
  const bind = (name, buffer, size, kind, norm) => {
    const at = gl.getAttribLocation(s.program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, kind, norm, 0, 0);
  };
  bind("p", s.points, 2, gl.FLOAT, false);
  bind("c", s.colors, 4, gl.UNSIGNED_BYTE, true);
  const n = s.xy.length / 2;
  gl.uniform4f(gl.getUniformLocation(s.program, "view"), s.center[0], s.center[1], (2 * unit) / w, (2 * unit) / h);
  gl.uniform1f(gl.getUniformLocation(s.program, "size"), ratio * Math.max(2, Math.min(10, (900 / Math.sqrt(n)) * Math.sqrt(s.zoom) * 0.35)));
  gl.drawArrays(gl.POINTS, 0, n);
  const shapes = [...s.lassos, ...(s.path ? [{ mode: s.mode, points: s.path }] : [])];
  s.overlay.replaceChildren(...shapes.map((l) => {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    shape.setAttribute("points", l.points.map(([x, y]) => toScreen(s, x, y).join(",")).join(" "));
    shape.setAttribute("class", l.mode);
    return shape;
  }));
  for (const at of new Set([s.focus, s.pointed])) {
    if (at == null || 2 * at >= s.xy.length) continue;
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const [x, y] = toScreen(s, s.xy[2 * at], s.xy[2 * at + 1]);
    Object.entries({ cx: x, cy: y, r: 11 }).forEach(([k, v]) => ring.setAttribute(k, v));
    s.overlay.append(ring);
  }
  s.root.dataset.drawn = n;
}

function nearest(s, x, y) {
  const [px, py] = toData(s, x, y), [x0, y0, x1, y1] = s.box, { side, start, members } = s.grid, { unit } = scale(s);
  const cx = Math.floor(((px - x0) / (x1 - x0)) * side), cy = Math.floor(((py - y0) / (y1 - y0)) * side);
  const reach = Math.min(40, Math.ceil((8 / unit / (x1 - x0)) * side) + 1);
  let best = -1, least = (8 / unit) ** 2;
  for (let gy = Math.max(0, cy - reach); gy <= Math.min(side - 1, cy + reach); gy++)
    for (let gx = Math.max(0, cx - reach); gx <= Math.min(side - 1, cx + reach); gx++)
      for (let m = start[gy * side + gx]; m < start[gy * side + gx + 1]; m++) {
        const i = members[m], d = (s.xy[2 * i] - px) ** 2 + (s.xy[2 * i + 1] - py) ** 2;
        if (d < least) { least = d; best = i; }
      }
  return best;
}

function point(s, position) {
  if (s.told === position) return;
  s.told = position;
  window.dispatchEvent(new CustomEvent("lsi-point", { detail: { from: "map", position } }));
}

function look(s, what) {
  if (what === "fit") { bounds(s); return draw(s); }
  s.zoom = Math.max(0.5, Math.min(200, s.zoom * (what === "in" ? 1.5 : 1 / 1.5)));
  draw(s);
}

// Arrows go to the nearest point within 45 degrees of their direction, the first to that nearest to the middle, and the
// map follows.
function keys(s, event) {
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const what = { "+": "in", "-": "out", 0: "fit" }[event.key];
  if (way) step(s, way);
  else if (what) look(s, what);
  else if (event.key === "Enter" && s.pointed != null) s.setTriggerValue("open", s.pointed);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function step(s, [dx, dy]) {
  const from = s.pointed ?? s.focus, [x, y] = from == null ? s.center : [s.xy[2 * from], s.xy[2 * from + 1]];
  let best = from, least = Infinity;
  for (let i = 0; 2 * i < s.xy.length; i++) {
    const [u, v] = [s.xy[2 * i] - x, s.xy[2 * i + 1] - y], along = u * dx + v * dy, aside = Math.abs(u * dy) + Math.abs(v * dx);
    const ahead = from == null || (along > 0 && aside <= along);
    if (i !== from && ahead && u * u + v * v < least) { least = u * u + v * v; best = i; }
  }
  if (best == null) return;
  s.pointed = best;
  const at = [s.xy[2 * best], s.xy[2 * best + 1]], [left, top] = toScreen(s, ...at), { w, h } = scale(s);
  if (left < 20 || top < 20 || left > w - 20 || top > h - 20) s.center = at;
  draw(s);
  tell(s, best, ...toScreen(s, ...at));
  point(s, best);
}

function down(s, event) {
  if (event.pointerType === "touch") { s.path = [toData(s, event.offsetX, event.offsetY)]; s.from = [event.offsetX, event.offsetY]; return; }
  s.canvas.setPointerCapture(event.pointerId);
  s.from = [event.offsetX, event.offsetY];
  s.pan = event.button !== 0 ? s.center.slice() : null;
  s.mode = event.shiftKey ? "add" : event.altKey ? "subtract" : "set";
  s.path = s.pan ? null : [toData(s, ...s.from)];
  s.tip.hidden = true;
}

function moved(s, event) {
  if (s.pan) {
    const { unit } = scale(s);
    s.center = [s.pan[0] - (event.offsetX - s.from[0]) / unit, s.pan[1] + (event.offsetY - s.from[1]) / unit];
    return draw(s);
  }
  if (s.path && event.pointerType === "touch") return;
  if (s.path) {
    const [x, y] = toData(s, event.offsetX, event.offsetY), [x0, y0] = s.path[0];
    if (s.data.tool === "box") s.path = [[x0, y0], [x, y0], [x, y], [x0, y]];
    else s.path.push([x, y]);
    return draw(s);
  }
  const i = nearest(s, event.offsetX, event.offsetY);
  point(s, i < 0 ? null : i);
  tell(s, i, event.offsetX, event.offsetY);
}

function tell(s, i, x, y) {
  s.tip.hidden = i < 0;
  if (i < 0) return;
  const { w, h } = scale(s);
  s.tip.style.left = (x > w - 170 ? x - 150 : x + 14) + "px";
  s.tip.style.top = (y > h - 170 ? y - 160 : y + 14) + "px";
  const [image, text] = s.tip.children;
  if (s.data.base) image.setAttribute("src", `${s.data.base}/${i}${s.data.suffix || ""}?size=128`);
  const { given, predicted, value } = s.about, { classes } = s.data;
  const other = given[i] === predicted[i] ? "" : " → " + classes[predicted[i]];
  const said = classes[given[i]] + other;
  text.textContent = `${said}${said ? ", " : ""}${value[i] >= 999.5 ? Math.round(value[i]).toLocaleString("en") : Number(value[i].toPrecision(3))} nats`;
}

function up(s, event) {
  const path = s.path, far = path && Math.hypot(event.offsetX - s.from[0], event.offsetY - s.from[1]);
  const long = path && s.data.tool !== "box" && path.length > 4;
  s.path = s.pan = null;
  if (!path) return;
  if (!long && far < 4) {
    const i = nearest(s, event.offsetX, event.offsetY);
    draw(s);
    if (i >= 0) s.setTriggerValue("open", i);
    return;
  }
  const keep = Math.ceil(path.length / 60);
  const points = path.filter((_, n) => n % keep === 0);
  if (points.length < 3) return draw(s);
  s.lassos = s.mode === "set" ? [{ mode: "set", points }] : [...s.lassos, { mode: s.mode, points }];
  s.setStateValue("lassos", s.lassos);
  draw(s);
}

function zoom(s, event) {
  event.preventDefault();
  const before = toData(s, event.offsetX, event.offsetY);
  s.zoom = Math.max(0.5, Math.min(200, s.zoom * Math.exp(-event.deltaY / 400)));
  const after = toData(s, event.offsetX, event.offsetY);
  s.center = [s.center[0] + before[0] - after[0], s.center[1] + before[1] - after[1]];
  draw(s);
}
