// What a first visit loads, compressed, against what it may. Run after `npm run build`.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const KIB = 1024;
const BUDGET = { js: 300 * KIB, css: 45 * KIB, chunk: 260 * KIB };
const folder = join(import.meta.dirname, "../../ratchet/static");
const size = (path) => gzipSync(readFileSync(join(folder, path)), { level: 9 }).length;
const sum = (paths) => paths.reduce((total, path) => total + size(path), 0);

const index = readFileSync(join(folder, "index.html"), "utf8");
const named = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1]);
const lazy = readdirSync(join(folder, "assets")).map((name) => `assets/${name}`).filter((path) => path.endsWith(".js") && !named.includes(path));
const rows = [
  ["initial JavaScript", sum(named.filter((path) => path.endsWith(".js"))), BUDGET.js],
  ["initial CSS", sum(named.filter((path) => path.endsWith(".css"))), BUDGET.css],
  ["largest later chunk", Math.max(0, ...lazy.map(size)), BUDGET.chunk],
];
for (const [what, actual, budget] of rows) {
  console.log(`${actual <= budget ? "ok  " : "OVER"}  ${what.padEnd(20)} ${(actual / KIB).toFixed(1).padStart(6)} of ${budget / KIB} KiB gzip`);
}
process.exit(rows.some(([, actual, budget]) => actual > budget) ? 1 : 0);
