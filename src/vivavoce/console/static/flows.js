// Flows drawn as graphs: laid out by dagre, wide ways are those that were gone most.
import dagre from "./vendor/dagre.js";

const SVG = "http://www.w3.org/2000/svg";

function add(parent, name, attributes, text) {
  const item = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) item.setAttribute(key, value);
  if (text !== undefined) item.textContent = text;
  parent.append(item);
  return item;
}

function short(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

const key = (id) => `step ${id}`; // a step may be called __proto__

function said(edge) {
  return short([short(edge.label, 22), edge.count ? `${edge.count}×` : ""].filter(Boolean).join(" "), 30);
}

function draw(place) {
  const { nodes, edges } = JSON.parse(place.dataset.graph);
  const graph = new dagre.graphlib.Graph({ multigraph: false });
  graph.setGraph({ rankdir: place.clientWidth < 500 ? "TB" : "LR", nodesep: 28, ranksep: 64, marginx: 16, marginy: 32 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) {
    const label = short(node.label ?? node.id, 28);
    graph.setNode(key(node.id), { ...node, name: node.label ?? node.id, label, width: Math.max(96, label.length * 7 + 24), height: node.count === null ? 30 : 44 });
  }
  for (const edge of edges) {
    if (edge.from === edge.to) continue; // a loop is drawn at its step
    const label = said(edge);
    graph.setEdge(key(edge.from), key(edge.to), { ...edge, text: label, width: label.length * 6, height: label ? 14 : 0, labelpos: "c" });
  }
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) svg.setAttribute(name, value);
  if (width > place.clientWidth * 1.5) svg.setAttribute("class", "wide"); // rather moved than made too small to read
  const most = Math.max(1, ...edges.map((edge) => edge.count));
  for (const { v, w } of graph.edges()) {
    const edge = graph.edge(v, w);
    const [first, ...rest] = edge.points;
    const line = `M${first.x},${first.y}${rest.map(({ x, y }) => `L${x},${y}`).join("")}`;
    add(svg, "path", { d: line, class: `edge${edge.count ? " hot" : ""}`, "stroke-width": 1 + 3 * (edge.count / most) });
    const [a, b] = edge.points.slice(-2);
    const angle = Math.atan2(b.y - a.y, b.x - a.x);
    const wing = (turn) => `${b.x - 9 * Math.cos(angle + turn)},${b.y - 9 * Math.sin(angle + turn)}`;
    add(svg, "path", { d: `M${b.x},${b.y}L${wing(0.4)}L${wing(-0.4)}Z`, class: "head" });
    if (edge.text) add(svg, "text", { x: edge.x, y: edge.y - 4, "text-anchor": "middle", class: "count" }, edge.text);
  }
  for (const edge of edges.filter(({ from, to }) => from === to)) {
    const { x, y, width, height } = graph.node(key(edge.from));
    const [left, right, top] = [x + width / 2 - 34, x + width / 2 - 10, y - height / 2];
    add(svg, "path", { d: `M${left},${top}C${left},${top - 20} ${right},${top - 20} ${right},${top}`, class: `edge${edge.count ? " hot" : ""}`, "stroke-width": 1 + 3 * (edge.count / most) });
    add(svg, "path", { d: `M${right},${top}L${right - 4},${top - 8}L${right + 4},${top - 8}Z`, class: "head" });
    add(svg, "text", { x: (left + right) / 2, y: top - 18, "text-anchor": "middle", class: "count" }, said(edge));
  }
  for (const id of graph.nodes()) {
    const node = graph.node(id);
    const group = add(svg, "g", { class: `node${node.is_start ? " start" : ""}${node.is_code ? " code" : ""}${node.is_exit ? " exit" : ""}` });
    add(group, "title", {}, node.name);
    add(group, "rect", { x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, rx: 8 });
    add(group, "text", { x: node.x, y: node.y + (node.count === null ? 4 : -2), "text-anchor": "middle" }, node.label);
    if (node.count !== null) add(group, "text", { x: node.x, y: node.y + 14, "text-anchor": "middle", class: "count" }, `${node.count}×${node.is_start ? " · start" : ""}${node.is_code ? " · code" : ""}`);
  }
  place.replaceChildren(svg);
}

const drawn = new WeakSet();
function all() {
  for (const place of document.querySelectorAll(".graph")) {
    if (drawn.has(place) || !place.clientWidth) continue;
    drawn.add(place);
    try {
      draw(place);
    } catch (error) { // the table has the same
      place.textContent = `This flow cannot be drawn: ${error.message}.`;
    }
  }
}
document.querySelectorAll("details.flow").forEach((flow) => flow.addEventListener("toggle", all));
all();
