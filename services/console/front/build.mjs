// Makes ../static from src, css, icons.txt and the packages. Every src/*.ts and css/*.css is one file
// that a page loads by its area's name; nothing is fetched when it runs.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = process.argv[2] ?? here("../static");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const all = (folder, kind) =>
  readdirSync(here(folder)).filter((name) => name.endsWith(kind) && !name.endsWith(".d.ts")).sort().map((name) => here(`${folder}/${name}`));

await build({
  entryPoints: [...all("src", ".ts"), ...all("css", ".css")],
  outdir: out,
  entryNames: "[name]",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome109", "firefox115", "safari16.4"],
  legalComments: "none",
  charset: "utf8",
  external: ["*.woff2"],
  logLevel: "warning",
});

const fonts = here("node_modules/@fontsource/ibm-plex-sans-arabic/files/");
for (const script of ["arabic", "latin"])
  for (const weight of [400, 600])
    copyFileSync(`${fonts}ibm-plex-sans-arabic-${script}-${weight}-normal.woff2`, `${out}/plex-${script}-${weight}.woff2`);

const names = readFileSync(here("icons.txt"), "utf8").split("\n").map((line) => line.trim()).filter(Boolean);
const symbols = [...new Set(names)].sort().map((name) => {
  const svg = readFileSync(here(`node_modules/lucide-static/icons/${name}.svg`), "utf8");
  const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inner.replace(/\s*\n\s*/g, "")}</symbol>`;
});
writeFileSync(`${out}/icons.svg`, `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`);
copyFileSync(here("icon.svg"), `${out}/icon.svg`);
