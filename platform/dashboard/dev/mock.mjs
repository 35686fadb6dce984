// An API with made-up data, for looking at the dashboard without a platform behind it:
//
//   npm run mock                     the API and the built dashboard on http://127.0.0.1:8471, any token signs in
//   npm run mock -- --empty          a project in which nothing has happened
//   npm run mock && npm run dev      the same data under Vite, with reloading
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { answer } from "./routes.mjs";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};
const port = Number(option("port", "8471"));
const empty = process.argv.includes("--empty");
const folder = join(import.meta.dirname, "../../ratchet/static");

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-NONCE'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

function page(response) {
  const index = join(folder, "index.html");
  if (!existsSync(index)) return response.writeHead(404).end("Run `npm run build` first.\n");
  const nonce = randomBytes(16).toString("base64url");
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY.replace("NONCE", nonce), "cache-control": "no-cache" });
  response.end(readFileSync(index, "utf8").replaceAll("__CSP_NONCE__", nonce));
}

function asset(path, response) {
  const file = join(folder, normalize(path));
  if (!file.startsWith(folder) || !existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(readFileSync(file));
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : undefined;
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (!url.pathname.startsWith("/api/")) return url.pathname.startsWith("/assets/") ? asset(url.pathname, response) : page(response);
  answer({ method: request.method, path: url.pathname, query: url.searchParams, body: await bodyOf(request), signedIn: /session=yes/.test(request.headers.cookie ?? ""), empty }, response);
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
