// The chart of the wave page: drawn anew when its numbers change, which come as text with the page.
import uPlot from "uplot";

const place = document.getElementById("wave-chart");
let chart: uPlot | undefined;
let shown = "";

const token = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const list = (text: string | undefined): number[] => (text ? text.split(",").map(Number) : []);

function height(): number {
  return document.documentElement.classList.contains("wall")
    ? Math.max(150, Math.round(window.innerHeight * 0.27))
    : window.innerWidth < 640 ? 170 : 240;
}

function clock(zone: string): (seconds: number) => string {
  const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone });
  return (seconds) => format.format(new Date(seconds * 1000));
}

function draw(): void {
  const points = document.getElementById("wave-points");
  if (!place || !points) return;
  const look = [points.dataset.from, points.dataset.contacts, points.dataset.cases, points.dataset.usual, place.clientWidth, token("--accent")].join("|");
  if (look === shown) return;
  shown = look;
  const contacts = list(points.dataset.contacts);
  const cases = list(points.dataset.cases);
  const usual = points.dataset.usual ? Number(points.dataset.usual) : null;
  const from = Number(points.dataset.from) / 1000;
  const known = usual === null ? [] : [contacts.map(() => usual)];
  const data: uPlot.AlignedData = [contacts.map((_, at) => from + at * 60), contacts, cases, ...known];
  const [one = "", two = "", three = ""] = (points.dataset.labels ?? "").split("|");
  const said = clock(place.dataset.zone ?? "UTC");
  const axis = { stroke: token("--quiet"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: `${Math.round(0.87 * parseFloat(getComputedStyle(place).fontSize))}px Plex, sans-serif` };
  chart?.destroy();
  chart = new uPlot(
    {
      width: Math.max(200, place.clientWidth),
      height: height(),
      cursor: { y: false },
      legend: { live: false },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, Math.max(5, Math.ceil(max * 1.15))] } },
      axes: [
        { ...axis, values: (_u, splits) => splits.map(said) },
        // The digits of the page, not those of the browser's language.
        { ...axis, values: (_u, splits) => splits.map((value) => value.toLocaleString("en-GB")), size: Math.round(3.2 * parseFloat(getComputedStyle(place).fontSize)) },
      ],
      series: [
        { label: "" },
        { label: one, stroke: token("--accent"), width: 2.5, fill: `${token("--accent")}22`, points: { show: false } },
        { label: two, stroke: token("--good"), width: 2, dash: [6, 3], points: { show: false } },
        ...known.map(() => ({ label: three, stroke: token("--quiet"), width: 1.5, dash: [2, 4], points: { show: false } })),
      ],
    },
    data,
    place,
  );
}

document.addEventListener("htmx:sseMessage", (event) => {
  if ((event as CustomEvent).detail?.type === "chart") draw();
});
window.addEventListener("resize", draw);
document.fonts?.ready.then(() => { shown = ""; draw(); });
draw();
