import { describe, expect, it } from "vitest";
import type { Layer } from "../src/api";
import { amount, blocks, optionsOf, outline, way } from "../src/layers";

const layer = (place: string, kind = "conv2d", options: Layer["options"] = {}): Layer => ({ place, kind, about: "", options, shape: [1], parameters: 0 });

describe("layers", () => {
  it("stand in blocks, those of a residual by its ways", () => {
    const places = ["network.layers[1]", "network.layers[10].residual[0]", "network.layers[10].residual[1]", "network.layers[10].shortcut[0]", "network.layers[10]", "network.layers[1].residual[0]", "network.output"];
    const found = blocks(places.map((place) => layer(place)));
    expect(found.map((one) => [one.layer.place, one.residual.length, one.shortcut.length])).toEqual([["network.layers[1]", 1, 0], ["network.layers[10]", 2, 1], ["network.output", 0, 0]]);
    expect(places.map((place) => way(layer(place)))).toEqual(["", "residual", "residual", "shortcut", "", "residual", ""]);
  });
  it("say what is not as usual, and not twice what they are", () => {
    expect(optionsOf(layer("", "conv2d", { conv2d: 16, padding: 1, activation: "relu", bias: false }))).toBe("16, padding 1, bias false");
    expect(optionsOf(layer("", "flatten", { flatten: true }))).toBe("");
  });
  it("are drawn within their box, larger ones larger", () => {
    for (const shape of [[1], [100_000], [4096, 512, 512], [1, 1, 1], [3, 1, 512], [500, 4096], [1, 1]]) {
      for (const path of outline(shape, 512)) {
        const [, x, y, w, h] = /^M(\S+) (\S+)h(\S+)v(\S+)h-\S+z$/.exec(path)!.map(Number) as [number, number, number, number, number];
        expect(Math.min(x, y, w, h), `${shape}: ${path}`).toBeGreaterThan(0);
        expect(Math.max(x + w, y + h), `${shape}: ${path}`).toBeLessThan(40);
      }
    }
    const side = (shape: number[]): number => Number(/h(\S+?)v/.exec(outline(shape, 64)[0]!)![1]);
    expect(side([3, 64, 64])).toBeGreaterThan(side([3, 8, 8]));
    expect(outline([64, 8, 8], 64).length).toBeGreaterThan(outline([3, 8, 8], 64).length);
  });
  it("take amounts that people can say", () => {
    expect([0, 248, 999, 1000, 150_000, 153_128, 1_234_567, 2_500_000_000].map(amount)).toEqual(["0 B", "248 B", "999 B", "1 kB", "150 kB", "153 kB", "1.23 MB", "2500 MB"]);
  });
});
