// The picture: drawing, moving, finding what is under the pointer.
const canvas = document.getElementById("canvas"), pen = canvas.getContext("2d");
const map = document.getElementById("map"), mapPen = map.getContext("2d");
const MAP = [190, 130];
let view = null, eye = { x: 0, y: 0, scale: 1 }, drawing = false, hovered = null, mapImage = null;
const eyes = new Map();
const chosen = { node: null, group: null };
let hits = new Set();

const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let ink = {};
function readInk() {
  for (const name of ["bg", "panel", "raised", "line", "line-strong", "text", "soft", "faint", "accent", "accent-soft", "group", "group-line", "edge", "edge-strong", "hit", "warm", "sans", "mono"])
    ink[name] = style("--" + name);
}

function show(stage, number) {
  if (view) eyes.set(view.stage + "/" + view.number, { ...eye });
  view = viewOf(stage, number);
  const known = eyes.get(stage + "/" + number);
  if (known) eye = { ...known }; else open();
  mapImage = null;
  draw();
}

// The first sight of a graph: all of it if that can be read, else its top.
function open() {
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  fit();
  if (eye.scale < 0.8 && view.size[1] > view.size[0]) {
    eye.scale = Math.max(0.8, Math.min(1, (w - 80) / Math.max(view.size[0], 1)));
    eye.y = -48 / eye.scale;
    const top = view.boxes.reduce((a, b) => (a && a.y <= b.y ? a : b), null);
    const centre = eye.scale * view.size[0] > w && top ? top.x + top.w / 2 : view.size[0] / 2;
    eye.x = centre - w / 2 / eye.scale;
  }
}

function fit() {
  const [w, h] = [canvas.clientWidth, canvas.clientHeight], m = 48;
  const scale = Math.min((w - 2 * m) / Math.max(view.size[0], 1), (h - 2 * m) / Math.max(view.size[1], 1), 1.25);
  eye.scale = Math.max(scale, 0.004);
  eye.x = view.size[0] / 2 - w / 2 / eye.scale;
  eye.y = view.size[1] / 2 - h / 2 / eye.scale;
}

function zoom(factor, px, py) {
  const scale = Math.min(4, Math.max(0.004, eye.scale * factor));
  eye.x += px / eye.scale - px / scale;
  eye.y += py / eye.scale - py / scale;
  eye.scale = scale;
  draw();
}

function centre(box, least) {
  eye.scale = Math.max(eye.scale, least || 0.7);
  eye.x = box.x + box.w / 2 - canvas.clientWidth / 2 / eye.scale;
  eye.y = box.y + box.h / 2 - canvas.clientHeight / 2 / eye.scale;
  draw();
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; paint(); });
}

function paint() {
  if (!view) return;
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  const s = eye.scale;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = ink.bg; pen.fillRect(0, 0, w, h);
  pen.setTransform(ratio * s, 0, 0, ratio * s, -eye.x * s * ratio, -eye.y * s * ratio);
  const [l, t, r, b] = [eye.x, eye.y, eye.x + w / s, eye.y + h / s];
  const seen = near(view, l, t, r, b);
  for (const g of view.groups)
    if (g.w > 0 && g.x <= r && g.x + g.w >= l && g.y <= b && g.y + g.h >= t) paintGroup(g, s);
  paintEdges(seen.edges, s);
  for (const box of seen.boxes) paintBox(box, s);
  for (const g of view.groups)
    if (s < 0.4 && g.w > 0 && g.x <= r && g.x + g.w >= l && g.y <= b && g.y + g.h >= t) paintFarTitle(g, s);
  paintMap(l, t, r, b);
}

function rounded(x, y, w, h, radius) {
  pen.beginPath(); pen.roundRect(x, y, w, h, Math.min(radius, w / 2, h / 2));
}

function clipped(text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = Math.max(1, Math.floor(text.length * width / Math.max(1, pen.measureText(text).width)) - 1);
  while (end > 1 && pen.measureText(text.slice(0, end) + "…").width > width) end--;
  return text.slice(0, end) + "…";
}

function paintGroup(g, s) {
  const on = chosen.group === g.group.number;
  rounded(g.x, g.y, g.w, g.h, 10);
  pen.fillStyle = ink.group; pen.fill();
  pen.lineWidth = (on ? 2 : 1) / Math.min(1, Math.max(s, .15));
  pen.strokeStyle = on ? ink.accent : ink["group-line"]; pen.stroke();
  const share = TOTAL > 0 ? groupTime(g.group) / TOTAL : 0;
  if (share > 0.04) { // How hot a kernel is.
    pen.save(); pen.globalAlpha = 0.02 + 0.16 * Math.min(1, share);
    rounded(g.x, g.y, g.w, g.h, 10); pen.fillStyle = ink.warm; pen.fill(); pen.restore();
  }
  if (s < 0.4) return;
  const label = time(groupTime(g.group) || undefined);
  pen.textBaseline = "middle"; pen.font = "600 11px " + ink.sans;
  pen.fillStyle = ink.soft; pen.textAlign = "right";
  if (label) pen.fillText(label, g.x + g.w - 13, g.y + 18);
  const room = g.w - 32 - (label ? pen.measureText(label).width : 0);
  pen.textAlign = "left"; pen.fillStyle = on ? ink.accent : ink.text;
  pen.fillText(clipped(groupName(g.group), room), g.x + 13, g.y + 18);
}

const groupName = group => group.kind + " " + group.number + " · " + group.title;

function paintFarTitle(g, s) {
  const size = 11 / s;
  if (g.w * s < 60 || g.h * s < 22) return;
  pen.font = "600 " + size + "px " + ink.sans;
  pen.textBaseline = "middle"; pen.textAlign = "center";
  const text = clipped(g.group.kind + " " + g.group.number, g.w - 8 / s), width = pen.measureText(text).width;
  rounded(g.x + g.w / 2 - width / 2 - 5 / s, g.y + g.h / 2 - 9 / s, width + 10 / s, 18 / s, 5 / s);
  pen.save(); pen.globalAlpha = .88; pen.fillStyle = ink.panel; pen.fill(); pen.restore();
  pen.fillStyle = ink.text; pen.fillText(text, g.x + g.w / 2, g.y + g.h / 2);
}

function edgePath(edge) {
  const p = edge.points;
  pen.moveTo(p[0][0], p[0][1]);
  for (let i = 1; i < p.length; i++) {
    const [x0, y0] = p[i - 1], [x1, y1] = p[i], bend = (y1 - y0) * 0.45;
    pen.bezierCurveTo(x0, y0 + bend, x1, y1 - bend, x1, y1);
  }
}

function paintEdges(edges, s) {
  const strong = [];
  const focus = chosen.node !== null ? chosen.node : hovered && hovered.id !== undefined ? hovered.id : null;
  pen.beginPath();
  for (const edge of edges) {
    if (focus !== null && (edge.from.id === focus || edge.to.id === focus)) strong.push(edge); else edgePath(edge);
  }
  pen.strokeStyle = ink.edge; pen.lineWidth = s < .3 ? .8 / s : 1.15; pen.stroke();
  if (s > .3) { // Arrow heads.
    pen.fillStyle = ink.edge; pen.beginPath();
    for (const edge of edges) { const { x, w, y } = edge.to, c = x + w / 2; pen.moveTo(c, y); pen.lineTo(c - 3.4, y - 6); pen.lineTo(c + 3.4, y - 6); }
    pen.fill();
  }
  if (!strong.length) return;
  pen.beginPath(); strong.forEach(edgePath);
  pen.strokeStyle = ink["edge-strong"]; pen.lineWidth = Math.max(1.8, 1.2 / s); pen.stroke();
}

function paintBox(box, s) {
  const { node, x, y, w, h } = box, on = chosen.node === box.id, hit = hits.has(box.id);
  const colour = colourOf(node);
  if (s < 0.16 && !on && !hit) { pen.fillStyle = colour; pen.fillRect(x, y, w, h); return; }
  rounded(x, y, w, h, 7);
  pen.fillStyle = ink.raised; pen.fill();
  if (hovered === box || on) { pen.save(); pen.globalAlpha = on ? .16 : .09; pen.fillStyle = ink.accent; pen.fill(); pen.restore(); }
  pen.lineWidth = on || hit ? 2.2 / Math.min(1, s) : 1;
  pen.strokeStyle = on ? ink.accent : hit ? ink.hit : ink["line-strong"];
  if (node.groups && node.value === "inline" && !on && !hit) pen.setLineDash([4, 3]);
  pen.stroke(); pen.setLineDash([]);
  pen.save(); pen.beginPath(); pen.roundRect(x, y, 4.5, h, [7, 0, 0, 7]); pen.fillStyle = colour; pen.fill(); pen.restore();
  if (s < 0.3) return;
  pen.textAlign = "left"; pen.textBaseline = "alphabetic";
  pen.font = "600 12px " + ink.sans; pen.fillStyle = ink.text;
  const rules = node.rules ? 8 : 0;
  pen.fillText(clipped(box.title, w - 20 - rules), x + 12, y + 16.5);
  if (rules) { pen.beginPath(); pen.arc(x + w - 9, y + 12, 2.8, 0, 7); pen.fillStyle = ink.accent; pen.fill(); }
  if (s < 0.42) return;
  pen.font = "10.5px " + ink.mono; pen.fillStyle = ink.soft;
  pen.fillText(clipped(node.type, w - 20), x + 12, y + 31);
  if (h > 48) { pen.font = "9.5px " + ink.sans; pen.fillStyle = ink.faint; pen.fillText(clipped(place(node.source), w - 20), x + 12, y + 45.5); }
}

function paintMap(l, t, r, b) {
  const ratio = window.devicePixelRatio || 1, [vw, vh] = [Math.max(view.size[0], 1), Math.max(view.size[1], 1)];
  const s = Math.min((MAP[0] - 12) / vw, (MAP[1] - 12) / vh), w = Math.max(vw * s + 12, 36), h = Math.max(vh * s + 12, 36);
  const hidden = l <= 0 && t <= 0 && r >= vw && b >= vh;
  map.style.visibility = hidden ? "hidden" : "visible";
  if (hidden) return;
  if (!mapImage || mapImage.view !== view || mapImage.ratio !== ratio) {
    map.width = w * ratio; map.height = h * ratio; map.style.width = w + "px"; map.style.height = h + "px";
    const image = document.createElement("canvas"); image.width = map.width; image.height = map.height;
    const p = image.getContext("2d"); p.scale(ratio, ratio); p.translate(6, 6);
    p.fillStyle = ink["group-line"]; p.globalAlpha = .5;
    for (const g of view.groups) p.fillRect(g.x * s, g.y * s, Math.max(1, g.w * s), Math.max(1, g.h * s));
    p.globalAlpha = 1;
    for (const box of view.boxes) { p.fillStyle = colourOf(box.node); p.fillRect(box.x * s, box.y * s, Math.max(.7, box.w * s), Math.max(.7, box.h * s)); }
    mapImage = { view, ratio, image, s };
  }
  mapPen.setTransform(1, 0, 0, 1, 0, 0);
  mapPen.clearRect(0, 0, map.width, map.height);
  mapPen.drawImage(mapImage.image, 0, 0);
  mapPen.setTransform(ratio, 0, 0, ratio, 6 * ratio, 6 * ratio);
  const clamp = (v, m) => Math.min(m, Math.max(0, v));
  const [x0, y0, x1, y1] = [clamp(l, vw) * s, clamp(t, vh) * s, clamp(r, vw) * s, clamp(b, vh) * s];
  mapPen.strokeStyle = ink.accent; mapPen.lineWidth = 1.5;
  mapPen.strokeRect(x0, y0, Math.max(3, x1 - x0), Math.max(3, y1 - y0));
}

function under(px, py) {
  const x = eye.x + px / eye.scale, y = eye.y + py / eye.scale;
  for (const box of near(view, x, y, x, y).boxes)
    if (x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h) return box;
  return view.groups.find(g => x >= g.x && x <= g.x + g.w && y >= g.y && y <= g.y + g.h) || null;
}
