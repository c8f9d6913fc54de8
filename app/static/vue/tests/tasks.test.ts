import { describe, expect, it } from "vitest";
import type { Version } from "../src/calls-api";
import { figureOf, flagSays, foldingSays, lineage, networkSays, parametersOf, scored, scoresChart, spread, wanted, worthSays } from "../src/tasks";

const version = (number: number, parent: number | null, scores: Record<string, number>, more: Partial<Version> = {}): Version => ({
  number, parent, scores, at: "2026-01-01T00:00:00", tested: 50, updates: 2, examples: 30, participants: [], current: false, sha256: "", bytes: 1, ...more,
});
// 1 - 2 - 3, then back to 2, from which 4 was made
const tree = [version(1, null, { accuracy: 0.5 }), version(2, 1, { accuracy: 0.6 }), version(3, 2, { accuracy: 0.55 }), version(4, 2, { accuracy: 0.75 }, { current: true, tested: 60 })];

describe("versions", () => {
  it("the present one has its forebears, and none that were set aside", () => {
    expect(lineage(tree).map((one) => one.number)).toEqual([1, 2, 4]);
    expect(lineage([])).toEqual([]);
  });
  it("are drawn along the way to the present one, the others beside it from where they came", () => {
    const { traces } = scoresChart(tree, "", false) as unknown as { traces: { x: number[]; y: number[]; text: string[]; line: { dash?: string } }[] };
    expect(traces.map(({ x, line }) => [x, line.dash])).toEqual([[[2, 3], "dot"], [[1, 2, 4], undefined]]);
    expect(traces.at(-1)!.y).toEqual([50, 60, 75]);
    expect(traces.at(-1)!.text.at(-1)).toBe("Version 4: 75.0 % right, 60 test examples");
  });
  it("of a number are drawn by their error in its unit, without those that were not tested", () => {
    const numbers = [version(1, null, {}), version(2, 1, { rmse: 8, r2: 0.1 }), version(3, 2, { rmse: 6.5, r2: 0.4 }, { current: true })];
    expect(figureOf(numbers)).toBe("rmse");
    const { traces, layout } = scoresChart(numbers, "<b>°C", true) as unknown as { traces: { x: number[]; y: number[] }[]; layout: { yaxis: { title: { text: string } } } };
    expect(traces).toHaveLength(1);
    expect([traces[0]!.x, traces[0]!.y]).toEqual([[2, 3], [8, 6.5]]);
    expect(layout.yaxis.title.text).toBe("Error (RMSE), b°C");
  });
});

describe("what is told of a task", () => {
  it("is its score, its data, its network in plain words", () => {
    expect([scored({ name: "accuracy", value: 0.875 }), scored({ name: "rmse", value: 3.21 }, "m")]).toEqual(["87.5 % right", "off by 3.21 m (RMSE)"]);
    expect(wanted({ input: "picture", answer: "number" })).toBe("pictures → a number");
    expect(spread({ key: "a", name: "a", hint: "", unit: "°C", low: -5, high: 0.30000000000000004 })).toBe("-5 – 0.3 °C");
    expect(["mlp", { layers: [] }, { layers: [{ dense: 3 }, { dense: 2 }] }, { model_name: "resnet18", width: 16 }, { backbone: "conf_f10" }].map(networkSays)).toEqual([
      "The network called mlp", "One layer: logistic or linear regression", "A network of 2 described layers and one for the answer", "A ResNet (resnet18), 16 channels wide at its start", "The network of the run conf_f10, frozen, under one layer that is learnt",
    ]);
    expect(parametersOf({ a: [16, 3, 7, 7], b: [16], c: [] })).toBe(16 * 147 + 16 + 1);
  });
  it("is when updates are folded", () => {
    const rule = { goal: 4, least: 2, minutes: 60 };
    expect(foldingSays({ mode: "automatic", ...rule })).toBe("Updates are folded as soon as 4 wait; 60 minutes after the first, 2 are enough.");
    expect(foldingSays({ mode: "manual", ...rule })).toContain("when the publisher says so, once at least 2 wait");
  });
  it("is what an update was worth, and what looks wrong with it", () => {
    expect(worthSays({ shapley: 0.0123, error: 0.004 })).toBe("1.2 ± 0.4");
    expect(worthSays({})).toBe("");
    expect(flagSays("duplicate 2")).toContain("duplicate");
    expect(flagSays("free rider")).toContain("free rider");
    expect(flagSays(undefined)).toBe("");
  });
});
