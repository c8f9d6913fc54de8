import { describe, expect, it } from "vitest";
import type { FigureValue, Study, StudyResult } from "../src/api";
import { between, layoutOf, linesOf, ofPanel, said, scaleOf, traces, unitOf } from "../src/study";

const axis = (name: string, values: string[]) => ({ name, label: name, values: values.map((one) => ({ name: one, label: one.toUpperCase() })) });
const value = (one: number, more: Partial<FigureValue> = {}): FigureValue => ({ value: one, low: one - 0.05, high: one + 0.02, interval: true, seeds: 3, rounds: [0.1, one], ...more });

function study(picture: Study["picture"], axes: Study["axes"], names = ["s"]): Study {
  const product = axes.reduce<string[][]>((all, one) => all.flatMap((values) => one.values.map((value) => [...values, value.name])), [[]]);
  const cells = product.map((values) => ({ key: values.join("-"), label: values.join(", "), trained_as: values.join("-"), values, conf: {} }));
  const measured = cells.map((cell, at) => ({ key: cell.key, failed: "", figures: { accuracy: value(0.5 + at / 100) }, bytes: 1, seconds: 1, left_out: null }));
  const result = (name: string): StudyResult => ({
    name, finished: "", seeds: 3, examples: 9, versions: {}, series: [{ name: "accuracy", unit: "fraction", better: "higher" }], answer: "", sentences: [], cells: measured, tested: [],
  });
  return { name: "s", title: "S", question: "?", equal: "", decided_by: "", picture, across: "bytes", answers: "said", seeds: 3, colours: [["#111111", "#eeeeee"], ["#222222", "#dddddd"]], axes, figures: [{ name: "accuracy", label: "Accuracy" }], cells, results: names.map(result) };
}
const shown = (of: Study, lines?: string[]) => ({ figure: "accuracy", panel: "", lines: new Set(lines ?? linesOf(of).map((line) => line.name)), results: of.results });

describe("the picture of a study", () => {
  const two = study("lines", [axis("alpha", ["a", "b", "c"]), axis("method", ["x", "y"])], ["s", "s@2"]);

  it("has a line for each value of the second axis, with the ends of its intervals", () => {
    const [first] = traces(two, shown(two), false) as { x: number[]; y: number[]; error_y: { array: number[]; arrayminus: number[] }; line: { color: string; dash: string } }[];
    expect(first!.y).toEqual([50, 52, 54]);
    expect(first!.error_y.array.map((one) => one.toFixed(3))).toEqual(["2.000", "2.000", "2.000"]);
    expect(first!.error_y.arrayminus[0]).toBeCloseTo(5);
    expect(first!.line).toMatchObject({ color: "#111111", dash: "solid" });
    expect(first!.x.map((one) => Math.round(one) + 0)).toEqual([0, 1, 2]);
  });
  it("draws a run of one's own with open marks and dashed lines", () => {
    const found = traces(two, shown(two), true) as { name: string; marker: { symbol: string; color: string }; line: { dash: string } }[];
    expect(found.map((one) => one.name)).toEqual(["X", "Y", "X (s@2)", "Y (s@2)"]);
    expect(found.map((one) => one.marker.symbol.endsWith("-open"))).toEqual([false, false, true, true]);
    expect(found.map((one) => one.line.dash)).toEqual(["solid", "solid", "dash", "dash"]);
    expect(found[1]!.marker.color).toBe("#dddddd");
  });
  it("draws figures across their costs, and names what nothing cheaper beats", () => {
    const costs = study("costs", [axis("code", ["a", "b", "c"])]);
    costs.results[0]!.cells.forEach((cell, at) => { cell.bytes = [100, 10, 1000][at]!; cell.figures.accuracy!.value = [0.9, 0.8, 0.85][at]!; });
    const [found] = traces(costs, shown(costs), false) as { x: number[]; y: number[]; text: string[]; mode: string }[];
    expect(found).toMatchObject({ x: [10, 100, 1000], y: [80, 90, 85], text: ["b", "a", ""], mode: "markers+text" });
    expect(layoutOf(costs, shown(costs), false)).toMatchObject({ xaxis: { type: "log", ticksuffix: "B" } });
  });
  it("leaves out what is switched off, and cells that were not measured", () => {
    expect((traces(two, shown(two, ["y"]), false) as { name: string }[]).map((one) => one.name)).toEqual(["Y", "Y (s@2)"]);
    const gap: Study = { ...two, results: [{ ...two.results[0]!, cells: two.results[0]!.cells.slice(2) }] };
    expect((traces(gap, shown(gap, ["x"]), false)[0] as { y: number[] }).y).toEqual([52, 54]);
  });
  it("has dots along one axis as bars, and a curve over rounds for each cell", () => {
    const bars = study("bars", [axis("server", ["p", "q"])]);
    const [dots] = traces(bars, shown(bars), false) as { x: number[]; y: number[]; mode: string }[];
    expect([dots!.mode, dots!.x, dots!.y]).toEqual(["markers", [50, 51], [0, 1]]);
    const curves = study("curves", [axis("server", ["p", "q"])]);
    const found = traces(curves, shown(curves), false) as { x: number[]; y: number[] }[];
    expect(found.map((one) => one.y)).toEqual([[10, 50], [10, 51]]);
    expect(found[0]!.x).toEqual([1, 2]);
  });
  it("names its axes, and writes figures as people read them", () => {
    const drawn = layoutOf(two, shown(two), false) as { xaxis: { ticktext: string[]; title: { text: string } }; yaxis: { title: { text: string } } };
    expect(drawn.xaxis.ticktext).toEqual(["A", "B", "C"]);
    expect([drawn.xaxis.title.text, drawn.yaxis.title.text]).toEqual(["alpha", "Accuracy, %"]);
    expect(unitOf(two, "accuracy")).toBe("fraction");
    expect(between(value(0.9), "fraction")).toBe("90.0 % [85.0, 92.0]");
    expect([said(0.01234, "nats"), said(12345.6, "s")]).toEqual(["0.0123", "12,346"]);
  });
  it("has panels for a third axis, on one scale", () => {
    const three = study("heat", [axis("a", ["p", "q"]), axis("b", ["x", "y"]), axis("c", ["k", "l"])]);
    expect(ofPanel(three, "l").map((cell) => cell.key)).toEqual(["p-x-l", "p-y-l", "q-x-l", "q-y-l"]);
    expect(scaleOf(three, "accuracy", three.results).map((one) => one.toFixed(2))).toEqual(["0.50", "0.57"]);
    expect(scaleOf(three, "none", three.results)[0]).not.toBeNaN();
  });
});
