import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";
import { compressed } from "./compress";

// Flask finds what is built here through the manifest (app/vite.py) and serves it below /static/.
export default defineConfig({
  base: "/static/",
  plugins: [vue(), compressed("dist")],
  build: {
    manifest: true,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500, // Plotly, loaded only when a chart is drawn
    rollupOptions: {
      output: { experimentalMinChunkSize: 20_000 }, // few requests: connections are six
      input: ["src/home.ts", "src/run.ts", "src/forecast.ts", "src/detect.ts", "src/conf.ts", "src/jobs.ts", "src/studies.ts", "src/calls.ts", "src/train.ts", "src/nodes.ts", "src/site.ts", "src/style.scss", "src/why.scss", "src/home.scss"],
    },
  },
  worker: { format: "es" },
  css: { preprocessorOptions: { scss: { quietDeps: true, silenceDeprecations: ["import"] } } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"] },
});
