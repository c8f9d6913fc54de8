import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Key, Value } from "../src/api";
import { absent, asFile, composed, fault, filled, laidOut, listed, listText, type Sayable } from "../src/composing";

const key = (name: string, kind: Key["kind"], more: Partial<Key> = {}): Key => ({ key: name, kind, doc: "", of: "", required: false, default: null, ...more });
const mlp = { layers: [{ flatten: true }, { dense: 8, activation: "relu", bias: true }] };
const sayable: Sayable = {
  keys: [
    key("network", "lists", { of: "layers", required: true }),
    key("width", "whole", { of: "resnet", default: 64 }),
    key("type", "text", { required: true, choices: ["sky", "rows"] }),
    key("lr", "number", { required: true }),
    key("holds", "lists", { default: [] }),
    key("data", "text", { default: "mwd" }),
    key("side", "whole", { of: "sky", default: 32 }),
    key("strategy", "part", { default: "mean", parts: [{ name: "mean", about: "", install: "", keys: [] }, { name: "drag", about: "", install: "pip install x", keys: [key("by", "number", { of: "drag", default: 0.5 })] }] }),
  ],
  tasks: { sky: "resnet", rows: "layers" },
  brought: { sky: {}, rows: { data: "rows", network: "mlp" } },
  networks: [{ name: "mlp", about: "", description: { layers: [{ flatten: true }, { dense: 8, activation: "relu" }] }, whole: mlp }],
};

describe("a form", () => {
  it("says what is not as usual for the task, under its place, and finds it again", () => {
    const conf = { type: "rows", lr: 1e-7, data: "mwd", holds: [[0, 1], [2]], strategy: { name: "drag", by: 0.25 } };
    const given = filled(conf, sayable);
    expect(given).toMatchObject({ "layers.network": "", lr: "1e-7", data: "mwd", holds: "[[0,1],[2]]", strategy: "drag", "strategy.drag.by": "0.25" });
    expect(composed(given, sayable)).toEqual(conf);
  });
  it("calls a network by its name, and not at all where the task brings it", () => {
    expect(filled({ type: "rows", network: mlp }, sayable)["layers.network"]).toBe("");
    const sky = filled({ type: "sky", network: mlp, width: 16 }, sayable);
    expect(sky["layers.network"]).toBe("mlp");
    expect(composed(sky, sayable)).toEqual({ type: "sky", network: "mlp" });
  });
  it("lays a network out for people to edit, and reads it as it was", () => {
    const own = { layers: [{ residual: [{ dense: 3 }], shortcut: [] }, { dense: 2 }] };
    expect(laidOut(own)).toBe('{"layers": [\n  {"residual": [\n    {"dense": 3}\n  ], "shortcut": []},\n  {"dense": 2}\n]}');
    expect(composed(filled({ type: "rows", network: own }, sayable), sayable)).toEqual({ type: "rows", network: own });
    expect(JSON.parse(asFile({ lr: 1, network: own }))).toEqual({ lr: 1, network: own });
  });
  it("lists parts in their order, each with what is not as usual", () => {
    const link = { ...sayable.keys.find((one) => one.key === "strategy")!, key: "link", kind: "parts" as const, default: [] };
    for (const text of ['["mean",{"name":"drag","by":0.25},"drag"]', "[]"]) expect(listText(listed(link, text))).toBe(text);
    expect(listed(link, '["mean", {"name": "drag"}]').map((one) => one.given)).toEqual([{}, { by: "0.5" }]);
    expect(listText(listed(link, "[broken")) + listText(listed(link, '["nobody", 3]')) + listText(listed(link, ""))).toBe("[][][]");
  });
  it("tells of parts that cannot be used here how they can", () => {
    expect(sayable.keys.map(absent).filter(Boolean)).toEqual([{ parts: "drag", command: "pip install x" }]);
  });

  it("leaves to the site what is no number, and never says one that JSON does not have", () => {
    for (const typed of ["1,5", "abc", "1e999", "0x10", "--1"]) expect(composed({ type: "sky", lr: typed }, sayable).lr).toBe(typed);
    for (const [typed, value] of [[" 1.50 ", 1.5], [".5", 0.5], ["1e-3", 0.001], ["-2", -2]] as const) expect(composed({ type: "sky", lr: typed }, sayable).lr).toBe(value);
  });
  it("tells where JSON is broken, and takes a word for a word", () => {
    const [network, , , lr] = sayable.keys as [Key, Key, Key, Key];
    expect(fault(network, "mlp") ?? fault(network, "") ?? fault(network, '{"layers": []}') ?? fault(lr, "{")).toBeUndefined();
    expect(fault(network, '{"layers": [\n  {"dense": 3,}\n]}')).toEqual({ line: 2, column: 15 });
    expect(fault(network, '{"layers": [')).toEqual({ line: 1, column: 13 });
  });
});

// Confs that tests/app/test_alike.py has drawn; it judges what is written back.
const drawn = process.env.SKYFED_DRAWN as string | undefined;
if (drawn) it("says again every conf that it was filled with", () => {
  const { told, confs } = JSON.parse(readFileSync(drawn, "utf8")) as { told: Sayable; confs: Record<string, Value>[] };
  const again = confs.map((conf) => {
    const said = composed(filled(conf, told), told);
    expect(composed(filled(said as Record<string, Value>, told), told)).toEqual(said);
    return said;
  });
  writeFileSync(`${drawn}.composed`, JSON.stringify(again));
});
