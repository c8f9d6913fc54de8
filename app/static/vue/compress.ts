// What the build writes is text for the most part: compressed once here, it is served so by app/vite.py.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const LARGE = 2_000_000; // for which the best that Brotli can do takes minutes

export const compressed = (folder: string): Plugin => ({
  name: "compressed",
  apply: "build",
  closeBundle() {
    for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!/\.(css|js|svg|wasm)$/.test(file)) continue;
      const whole = readFileSync(join(folder, file));
      const quality = whole.length < LARGE ? constants.BROTLI_MAX_QUALITY : 9;
      writeFileSync(join(folder, `${file}.br`), brotliCompressSync(whole, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }));
      writeFileSync(join(folder, `${file}.gz`), gzipSync(whole, { level: 9 }));
    }
  },
});
