import { describe, expect, it } from "vitest";
import type { Key } from "../src/api";
import type { Choices, Described } from "../src/calls-api";
import { consentText, madeIn } from "../src/consent";
import { describedAs, fieldsOf, fitTo, keyOf, moved, numberTyped, strategyOf, suggestedNorm, typedOf, wrongAt } from "../src/describing";

const choices: Choices = {
  networks: [], backbones: [], categories: [],
  strategies: [{ name: "fedavg", about: "the mean" }, { name: "fedavgm", about: "momentum" }],
  usual: {
    training: { lr: 0.05, momentum: 0.9, batch_size: 16, local_epochs: 2 }, start: { from: "fresh", seed: 0 }, strategy: "fedavg", lambda: 1,
    limits: { trainings: 50, per_version: 1, examples: 4, counted: 1000, staleness: 1, norm: 20 }, aggregation: { mode: "automatic", goal: 3, least: 2, minutes: 60 }, keep_days: 30, credits: false,
  },
};
const beta: Key = { key: "beta", doc: "", kind: "number", of: "fedavgm", required: false, default: 0.9 };
const keys: Key[] = [
  { key: "lr", doc: "", kind: "number", of: "", required: true, default: null },
  { key: "strategy", doc: "", kind: "part", of: "", required: false, default: "fedavg", parts: ["fedavg", "fedavgm", "local_only"].map((name) => ({ name, about: "", install: "", keys: name === "fedavgm" ? [beta] : [] })) },
];
const strategy = strategyOf(keys, choices);
const described: Described = {
  ...choices.usual,
  format: {
    input: { kind: "values", fields: [{ key: "age", name: "Age", hint: "in full", unit: "years", low: 0, high: 120 }, { key: "b", name: "b", hint: "", unit: "", low: -1, high: 0.5 }] },
    answer: { kind: "label", labels: [{ name: "no", hint: "" }, { name: "yes", hint: "surely" }] },
  },
  network: { layers: [{ dense: 4 }] }, strategy: { name: "fedavgm", beta: 0.5 }, consent: "I agree.",
};

describe("the form of a task", () => {
  it("says what it was filled from", () => {
    const said = describedAs(typedOf(described, choices, strategy), strategy);
    expect(said).toMatchObject({ training: described.training, limits: described.limits, aggregation: described.aggregation, start: described.start, lambda: 1, keep_days: 30, credits: false, consent: "I agree.", network: described.network, strategy: described.strategy });
    expect(said.format).toEqual({
      input: { kind: "values", fields: [{ key: "age", name: "Age", hint: "in full", unit: "years", low: 0, high: 120 }, { key: "b", low: -1, high: 0.5 }] },
      answer: { kind: "label", labels: [{ name: "no" }, { name: "yes", hint: "surely" }] },
    });
  });
  it("begins from what is usual, and leaves to that what is emptied", () => {
    const typed = typedOf({}, choices, strategy);
    expect(describedAs(typed, strategy)).toMatchObject({ training: choices.usual.training, network: "mlp", start: { from: "fresh", seed: 0 } });
    Object.assign(typed.training, { lr: " " });
    Object.assign(typed, { keep_days: "" });
    const said = describedAs(typed, strategy);
    expect(said).not.toHaveProperty("keep_days");
    expect(said.training).toEqual({ momentum: 0.9, batch_size: 16, local_epochs: 2 });
    expect(said).not.toHaveProperty("strategy");
  });
  it("offers the strategies that a published task may name, and no other key", () => {
    expect(strategy.keys.map((key) => [key.key, key.parts?.map((part) => part.name)])).toEqual([["strategy", ["fedavg", "fedavgm"]]]);
  });
  it("keeps pictures, numbers, ResNets, backbones and runs", () => {
    const typed = typedOf({}, choices, strategy);
    Object.assign(typed, { input: "picture", side: "28", channels: "1", answer: "number", asked: { key: "y", name: "", hint: "", unit: "m", low: "-1", high: "2.5" }, kind: "resnet", start: "run", run: "conf_a" });
    const said = describedAs(typed, strategy) as unknown as Described;
    expect(said.format).toEqual({ input: { kind: "picture", side: 28, channels: 1 }, answer: { kind: "number", key: "y", unit: "m", low: -1, high: 2.5 } });
    expect(said).toMatchObject({ network: { model_name: "resnet18", width: 16, norm: "group" }, start: { from: "run", run: "conf_a" } });
    expect(describedAs(typedOf(said, choices, strategy), strategy)).toEqual(said);
    typed.kind = "backbone";
    fitTo(typed, { run: "conf_f10", title: "", features: 128, sha256: "", side: 64, colours: "opponent" });
    expect(describedAs(typed, strategy)).toMatchObject({ network: { backbone: "conf_f10" }, format: { input: { side: 64, channels: 3, colours: "opponent" } } });
  });
  it("hands on as text what is no number and no JSON, for the site to say so", () => {
    const typed = typedOf({}, choices, strategy);
    typed.training.lr = "fast";
    typed.layers = '{"layers": [';
    expect(describedAs(typed, strategy)).toMatchObject({ training: { lr: "fast" }, network: '{"layers": [' });
    expect(["1e-3", "−2", "0x", ""].map(numberTyped)).toEqual([0.001, -2, "0x", undefined]);
  });
});

describe("a table's header line", () => {
  it("names the fields, by keys that are unlike and begin with a letter", () => {
    expect(fieldsOf("Age,Blood pressure,2nd,age,Age,压力").map((row) => [row.key, row.name])).toEqual([
      ["Age", ""], ["Blood_pressure", "Blood pressure"], ["x_2nd", "2nd"], ["age", ""], ["Age_2", "Age"], ["field_6", "压力"],
    ]);
    expect(keyOf("é".repeat(50))).toHaveLength(40);
  });
  it("takes the ranges from rows below it, whatever parts the columns", () => {
    for (const mark of [",", ";", "\t"]) {
      const [a, b] = fieldsOf(`a${mark}b\n1${mark}x\r\n\n-2.5${mark}7\n`);
      expect([a!.low, a!.high, b!.low, b!.high]).toEqual(["-2.5", "1", "", ""]);
    }
  });
});

describe("a refusal", () => {
  it.each([
    ["training.lr: expected a number, found a text", "training.lr"],
    ["format.input.fields[0].key：应为名称", "format.input.fields"],
    ["format.answer.labels: each once", "format.answer.labels"],
    ["format.answer.low: expected", "format.answer.low"],
    ["network.layers[2].dense: expected", "network"],
    ["strategy.beta: expected", "strategy"],
    ["Unknown key \"x\"", ""],
    ["The site is busy: try again", ""],
  ])("%s is told at its field", (message, at) => expect(wrongAt(message).at).toBe(at));
  it("of the API's own form is found by its detail", () => {
    expect(wrongAt("That cannot be understood.", "json.name: Length must be between 1 and 80.")).toEqual({ at: "name", key: "name", says: "That cannot be understood." });
  });
});

describe("a consent text", () => {
  it("is made from the choices, in both languages, and known again", () => {
    const typed = typedOf({}, choices, strategy);
    for (const language of ["en", "zh"] as const) {
      typed.consent = consentText(typed, language);
      expect(typed.consent).toContain("50");
      expect(typed.consent).toContain("30");
      expect(madeIn(typed)).toBe(language);
      typed.consent += "!";
      expect(madeIn(typed)).toBeUndefined();
    }
    typed.limits.trainings = "0";
    typed.credits = true;
    typed.input = "picture";
    expect(consentText(typed, "en")).toMatch(/as many updates as you like[\s\S]*counted as credits/);
    expect(consentText(typed, "zh")).toMatch(/图片[\s\S]*任意多次[\s\S]*积分/);
  });
});

it("things in a list move by one place and stay inside", () => {
  expect(moved(["a", "b", "c"], 0, 1)).toEqual(["b", "a", "c"]);
  expect(moved(["a", "b", "c"], 2, -1)).toEqual(["a", "c", "b"]);
  expect(moved(["a", "b"], 0, -1)).toEqual(["a", "b"]);
});
it("a limit for the norm is ten times what was found, in two digits", () => {
  expect([0.33213, 12.7, 0].map(suggestedNorm)).toEqual([3.3, 130, 0]);
});
