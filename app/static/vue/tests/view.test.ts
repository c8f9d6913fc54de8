import { describe, expect, it } from "vitest";
import type { Curves, Run } from "../src/api";
import { panel, picture } from "../src/plot";
import { differingKeys, grouped, shown } from "../src/table";
import { PLAIN, readView, smoothed, writeView, type View } from "../src/view";

const run = (name: string, more: Partial<Run> = {}): Run => ({ name, title: name, colour: "#123456", conf: {}, ...more }) as Run;

describe("the view in the address", () => {
  it("comes back as it was written", () => {
    const view: View = {
      study: "digits",
      runs: ["conf_f10", "conf_f10@2"],
      axis: "bytes",
      y: ["balanced_accuracy", "seconds"],
      smooth: 0.6,
      band: false,
      logX: true,
      logY: true,
      search: "lr=0.1 resnet",
      sort: "accuracy",
      descending: true,
      group: "norm",
      differing: true,
      pair: ["conf_a", "conf_b"],
    };
    expect(readView(writeView(view))).toEqual(view);
  });
  it("is empty for the plain view, and plain for a nonsensical address", () => {
    expect(writeView(PLAIN)).toBe("");
    expect(writeView(readView("?study=digits&x=bytes"))).toBe("?study=digits&x=bytes");
    expect(readView("?x=<script>&smooth=7&pair=one&band=maybe")).toEqual(PLAIN);
  });
  it("understands the names that axes had in links made before", () => {
    expect(readView("?x=megabytes").axis).toBe("bytes");
    expect(readView("?x=photos_seen").axis).toBe("examples");
  });
  it("tells no runs at all from the first ones", () => {
    expect(readView(writeView({ ...PLAIN, runs: [] })).runs).toEqual([]);
  });
});

describe("smoothing", () => {
  it("changes nothing at weight 0 and keeps a constant", () => {
    expect(smoothed([1, 5, 2], 0)).toEqual([1, 5, 2]);
    for (const value of smoothed([3, 3, 3], 0.9)) expect(value).toBeCloseTo(3);
  });
  it("starts at the first value and lags behind a rise", () => {
    const values = smoothed([0, 1, 1, 1], 0.5);
    expect(values[0]).toBe(0);
    expect(values[1]).toBeCloseTo(2 / 3);
    expect(values[3]).toBeLessThan(1);
  });
});

describe("the table", () => {
  const runs = [
    run("conf_b", { accuracy: 0.9, conf: { lr: 0.1, norm: "group" } }),
    run("conf_a@10", { accuracy: 0.7, conf: { lr: 0.2, norm: "group" } }),
    run("conf_a@9", { accuracy: 0.8, conf: { lr: 0.1, norm: "batch" } }),
    run("conf_x", { error: "not a readable pickle" }),
  ];
  const names = (found: Run[]): string[] => found.map((one) => one.name);
  it("sorts by number or name, the unreadable last", () => {
    expect(names(shown(runs, PLAIN))).toEqual(["conf_a@9", "conf_a@10", "conf_b", "conf_x"]);
    expect(names(shown(runs, { ...PLAIN, sort: "accuracy", descending: true }))).toEqual(["conf_b", "conf_a@9", "conf_a@10", "conf_x"]);
  });
  it("finds all words in names and conf values", () => {
    expect(names(shown(runs, { ...PLAIN, search: "lr=0.1 GROUP" }))).toEqual(["conf_b"]);
    expect(names(shown(runs, { ...PLAIN, search: "readable" }))).toEqual(["conf_x"]);
  });
  it("finds and sorts runs by what people call them", () => {
    const called = [run("run-1", { title: "晴天实验-1" }), run("run-2", { title: "Ärger & Wolken-2" }), run("run-3", { title: "☁ 第三次-3" })];
    for (const [search, name] of [["晴天", "run-1"], ["ärger wolken", "run-2"], ["☁", "run-3"], ["run-2", "run-2"]] as const) {
      expect(names(shown(called, { ...PLAIN, search }))).toEqual([name]);
    }
    expect(names(shown(called, PLAIN)).at(-1)).toBe("run-1");
  });
  it("groups by a key and names what differs", () => {
    expect(grouped(runs.slice(0, 3), "norm").map(([value, members]) => [value, members.length])).toEqual([["group", 2], ["batch", 1]]);
    expect(differingKeys(runs)).toEqual(["lr", "norm"]);
    expect(differingKeys(runs.slice(0, 2))).toEqual(["lr"]);
  });
  it("is quick with 500 runs", () => {
    const many = Array.from({ length: 500 }, (_, i) => run(`conf_r${i}`, { accuracy: (i * 37) % 500, conf: { lr: i } }));
    expect(shown(many, { ...PLAIN, sort: "accuracy" })).toHaveLength(500);
  });
});

describe("a panel", () => {
  const curve = { costs: { round: [1, 2] }, series: [{ name: "accuracy", mean: [0.5, 0.75], p10: [0.4, 0.7], p90: [0.6, 0.8] }] };
  const curves = new Map([["conf_a", curve as never]]);
  it("keeps the raw line visible beside the smoothed one", () => {
    expect(panel("accuracy", [run("conf_a")], curves, { ...PLAIN, band: false })).toHaveLength(1);
    const traces = panel("accuracy", [run("conf_a")], curves, { ...PLAIN, smooth: 0.5 });
    expect(traces.map((trace) => trace.y)).toEqual([[0.6, 0.8, 0.7, 0.4], [0.5, 0.75], smoothed([0.5, 0.75], 0.5)]);
  });
  const series = (mean: (number | null)[]) => ({ name: "accuracy", mean, p10: mean.map((v) => v && v - 0.125), p90: mean.map((v) => v && v + 0.125) });
  const drawn = (mean: (number | null)[], more: Partial<View> = {}) =>
    panel("accuracy", [run("conf_a")], new Map([["conf_a", { costs: { round: mean.map((_, at) => at + 1) }, series: [series(mean)] } as never]]), { ...PLAIN, ...more });
  it("shows a single point, with its spread", () => {
    for (const more of [{}, { smooth: 0.6 }, { logX: true }]) {
      const trace = drawn([0.75], more).at(-1)!;
      expect(trace.mode).toBe("lines+markers");
      expect((trace.y as number[])[0]).toBeCloseTo(0.75);
      expect(trace).toMatchObject({ marker: { size: [9] }, error_y: { array: [0.125], arrayminus: [0.125] } });
    }
    expect(drawn([0.75], { band: false }).at(-1)).not.toHaveProperty("error_y");
  });
  it("shows points between gaps, and no others", () => {
    const [band, trace] = drawn([0.5, null, 0.75, NaN, 0.5, 0.25]);
    expect(trace).toMatchObject({ mode: "lines+markers", marker: { size: [9, 0, 9, 0, 0, 0] } });
    expect(band?.x).toEqual([1, 1, null, 3, 3, null, 5, 6, 6, 5]);
    expect(band?.y).toEqual([0.625, 0.375, null, 0.875, 0.625, null, 0.625, 0.375, 0.125, 0.375]);
    expect(drawn([0.5, 0.75]).at(-1)?.mode).toBe("lines");
    expect(drawn([null, null]).at(-1)?.mode).toBe("lines");
  });
  it("goes on smoothing behind a gap", () => {
    const values = smoothed([0.5, null as never, 0.5], 0.9);
    expect(values[1]).toBeNull();
    expect(values[2]).toBeCloseTo(0.5);
  });
  it("has a colour for each theme", () => {
    const one = run("conf_a", { colour: "#111111", colour_dark: "#eeeeee" });
    const colours = [false, true].map((dark) => (panel("accuracy", [one], curves, PLAIN, dark).at(-1)?.line as { color: string }).color);
    expect(colours).toEqual(["#111111", "#eeeeee"]);
  });
  it("leaves out runs that do not have the series", () => {
    expect(panel("epsilon", [run("conf_a")], curves, PLAIN)).toEqual([]);
  });
  it("escapes what a run is called", () => {
    const [trace] = panel("accuracy", [run("conf_a", { title: "<img src=x>" })], curves, { ...PLAIN, band: false });
    expect(trace?.hovertemplate).not.toContain("<img");
  });
});

describe("a chart to take along", () => {
  const drawn = [run("conf_f10", { title: "Ten owners, federated", conf_name: "f10", repeats: 15 }), run("mine-1", { title: "<b>mine", repeats: 1 })];
  const told = { costs: { round: [1, 2] }, series: [{ name: "accuracy", unit: "fraction", better: "higher", mean: [0.5, 0.75], p10: [0.4, 0.7], p90: [0.6, 0.8] }] };
  const curves = new Map(drawn.map((one) => [one.name, told as unknown as Curves]));
  it("carries names, repeats, title and units", () => {
    const { data, layout } = picture("accuracy", drawn, curves, PLAIN) as { data: Record<string, unknown>[]; layout: any };
    expect(data.filter((trace) => trace.showlegend !== false).map((trace) => trace.name)).toEqual(["Ten owners, federated (f10), 15 repeats", "bmine, 1 repeats"]);
    expect(layout.showlegend).toBe(true);
    expect(layout.title.text).toContain("Accuracy on test examples");
    expect(layout.xaxis.title.text).toBe("round");
    expect(layout.yaxis.title.text).toBe("Accuracy on test examples (0–1)");
    expect(layout.paper_bgcolor).toBe("#ffffff");
  });
});
