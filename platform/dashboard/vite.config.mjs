import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` talks to the API named here; `npm run mock` starts one with made-up data on the default port.
const api = process.env.RATCHET_API ?? "http://127.0.0.1:8471";

export default defineConfig({
  plugins: [react()],
  build: { outDir: "../ratchet/static", emptyOutDir: true, sourcemap: false, assetsInlineLimit: 0 },
  server: { proxy: { "/api": api, "/mlflow": api } },
});
