// Small charts of days, drawn with uPlot in the page's own colours.
import { colour } from "./console.js";

const drawn = new Map();

function draw(plot) {
  const { kind, unit } = plot.dataset;
  const labels = JSON.parse(plot.dataset.labels);
  const lines = JSON.parse(plot.dataset.series);
  const days = labels.map((_, n) => n);
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 40 };
  const options = {
    width: plot.clientWidth,
    height: plot.clientHeight,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: false, range: (_, low, high) => [low - 0.5, high + 0.5] }, y: { range: (_, low, high) => [unit === "%" ? 0 : Math.min(0, low ?? 0), unit === "%" ? 100 : (high || 1) * 1.1] } },
    axes: [
      { ...axis, size: 22, grid: { show: false }, values: (_, ticks) => ticks.map((n) => (Number.isInteger(n) && labels[n] ? labels[n].slice(5) : "")), space: 48 },
      { ...axis, space: 32, values: (_, ticks) => ticks.map((n) => (n >= 1000 ? `${n / 1000}k` : n)) },
    ],
    series: [
      {},
      ...lines.map((line, n) => {
        const stroke = colour(`--chart-${n + 1}`);
        return kind === "bars"
          ? { label: line.name, fill: stroke, stroke, width: 0, points: { show: false }, paths: window.uPlot.paths.bars({ size: [0.7, 40] }) }
          : { label: line.name, stroke, width: 2, spanGaps: true, points: { show: line.values.filter((v) => v !== null).length < 3, size: 5 } };
      }),
    ],
    hooks: { setCursor: [(chart) => tell(plot, labels, lines, unit, chart.cursor.idx)] },
  };
  drawn.get(plot)?.destroy(); // it would be kept for ever
  drawn.set(plot, new window.uPlot(options, [days, ...lines.map((line) => line.values)], plot));
}

function tell(plot, labels, lines, unit, n) {
  const caption = plot.parentElement.querySelector("figcaption");
  caption.dataset.title ??= caption.textContent;
  caption.textContent = n === null || n === undefined
    ? caption.dataset.title
    : `${labels[n]}: ${lines.map((line) => `${line.name} ${line.values[n] ?? "–"}${line.values[n] === null ? "" : unit && ` ${unit}`}`).join(", ")}`;
}

const plots = [...document.querySelectorAll(".plot")];
const all = () => plots.forEach(draw);
all();
document.addEventListener("vivavoce:theme", all);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
new ResizeObserver(() => plots.forEach((plot) => { if (plot.firstChild && Math.abs(plot.clientWidth - plot.firstChild.clientWidth) > 2) draw(plot); })).observe(document.body);
