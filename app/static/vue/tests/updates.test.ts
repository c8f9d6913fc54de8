import { describe, expect, it } from "vitest";
import type { Series, Updates } from "../src/api";
import { seriesGroups, seriesSays, seriesTitle } from "../src/plot";
import { gridOf, partsOf, scaleOf, tellable } from "../src/updates";

const updates: Updates = {
  fold: 0, seed: 0, rotation: 0, attacked: true, hostile: [7],
  round: [1, 1, 2, 3, 3],
  client: [2, 7, 2, 2, 7],
  norm: [1, 50, 2, 3, null],
  cosine: [0.5, -0.75, 0.25, 0, null],
  score: [null, null, null, null, null],
  kept: [true, false, true, false, false],
};
const MOST = { rows: 10, columns: 10 };

describe("the map of updates", () => {
  it("has a row for each client that sent something and a column a round", () => {
    const { clients, columns, rounds, cells } = gridOf(updates, "cosine", MOST);
    expect([clients, columns, rounds]).toEqual([[2, 7], 3, 1]);
    expect(cells).toContainEqual({ row: 1, column: 0, value: -0.75, sent: 1, left: 1 });
    expect(cells).toContainEqual({ row: 1, column: 2, value: null, sent: 1, left: 1 });
    expect(cells.some((cell) => cell.row === 1 && cell.column === 1)).toBe(false);
  });
  it("puts several rounds into a column where there are more than fit, and says who has no room", () => {
    const { columns, rounds, cells, clients, unshown } = gridOf(updates, "norm", { rows: 1, columns: 2 });
    expect([columns, rounds, clients, unshown]).toEqual([2, 2, [2], 1]);
    expect(cells).toEqual([
      { row: 0, column: 0, value: 1.5, sent: 2, left: 0 },
      { row: 0, column: 1, value: 3, sent: 1, left: 1 },
    ]);
  });
  it("is quick with as many rows as the site sends", () => {
    const many = Array.from({ length: 200_000 }, (_, at) => at);
    const of = <T>(value: (at: number) => T): T[] => many.map(value);
    const large = { ...updates, round: of((at) => 1 + Math.floor(at / 100)), client: of((at) => at % 100), norm: of(() => 1), cosine: of(() => 0), score: of(() => null), kept: of(() => true) };
    expect(gridOf(large, "norm", { rows: 300, columns: 500 })).toMatchObject({ rounds: 4, columns: 500, unshown: 0 });
    expect(scaleOf("norm", large.norm).high).toBe(1);
    expect(partsOf(large)).toHaveLength(100);
  });
});

describe("a scale", () => {
  it("is that of cosines, of lengths from nothing, and of such as lie far apart in logarithms", () => {
    expect(scaleOf("cosine", [0.5])).toMatchObject({ low: -1, high: 1, logarithmic: false });
    const near = scaleOf("norm", [1, 4, null]);
    expect([near.low, near.high, near.share(1), near.share(4)]).toEqual([0, 4, 0.25, 1]);
    const far = scaleOf("norm", [1, 10, 100]);
    expect([far.logarithmic, far.share(1), far.share(10), far.share(100)]).toEqual([true, 0, 0.5, 1]);
    expect(scaleOf("score", [-3, 1]).share(-1)).toBe(0.5);
  });
  it("stands where nothing is finite, or all is the same", () => {
    expect(scaleOf("norm", [null])).toMatchObject({ low: 0, high: 1 });
    expect(scaleOf("norm", [0, 0]).share(0)).toBe(0.5);
  });
});

describe("a client's part", () => {
  it("is the mean of what is finite and the share that was taken", () => {
    const [honest, hostile] = partsOf(updates);
    expect(honest).toEqual({ client: 2, hostile: false, sent: 3, norm: 2, cosine: 0.25, kept: 2 / 3 });
    expect(hostile).toEqual({ client: 7, hostile: true, sent: 2, norm: 50, cosine: -0.75, kept: 0 });
  });
  it("tells scores only where there are some", () => {
    expect(tellable(updates)).toEqual(["cosine", "norm"]);
    expect(tellable({ ...updates, score: [null, 1, null, null, null] })).toContain("score");
  });
});

describe("a chart's choice of series", () => {
  const named = (name: string): Series => ({ name, unit: "", better: "none", mean: [], p10: [], p90: [] });
  it("groups them, each once, those of one's own parts last", () => {
    const names = ["drag", "accuracy", "seconds", "update_norm", "validation_loss", "training_loss", "attack_success", "virtual_seconds", "training_seconds"];
    expect(seriesGroups(names.map(named)).map((group) => group.series.map((one) => one.name))).toEqual([
      ["accuracy", "validation_loss", "training_loss"], ["update_norm", "attack_success"], ["seconds", "virtual_seconds", "training_seconds"], ["drag"],
    ]);
  });
  it("says of what a series is and which way it is better", () => {
    expect(seriesSays({ ...named("client_accuracy_spread"), better: "lower" })).toBe("each on test examples such as its own; lower is better");
    expect(seriesSays(named("update_norm")) + seriesSays()).toBe("");
  });
  it("calls each in words", () => {
    for (const name of ["client_accuracy", "client_accuracy_spread", "client_accuracy_worst", "attack_success", "update_norm", "update_norm_most", "update_cosine", "update_cosine_least", "virtual_seconds"])
      expect(seriesTitle(name)).toMatch(/^[A-Z].* /);
  });
});
