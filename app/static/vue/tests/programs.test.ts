import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { headerBytes, headerIn } from "../src/device/header";
import { answerOf, Judge } from "../src/device/programs";
import { differences, probabilityOf } from "../src/device/runtime";
import { unseen } from "../src/programs";

describe("an answer", () => {
  it("is what its probability says, the ends included", () => {
    const how = { low: 0.3, high: 0.8 };
    expect([0, 0.3, 0.31, 0.79, 0.8, 1].map((one) => answerOf(one, how))).toEqual(["benign", "benign", "unsure", "unsure", "malware", "malware"]);
  });
  it("has a probability that follows from margin and temperature", () => {
    expect(probabilityOf(0, 2)).toBe(0.5);
    expect(probabilityOf(2 * Math.log(3), 2)).toBeCloseTo(0.75, 12);
    expect(probabilityOf(-1e9, 0.5)).toBeGreaterThan(0); // and no NaN
    expect(differences(Float32Array.of(1, 3, 2, -2))).toEqual([2, -4]);
  });
});

describe("a model of headers on the device", () => {
  const features = ["e_lfanew", "MajorLinkerVersion", "SizeOfImage"] as const;
  const how = { onnx: "/model.onnx", temperature: 2, low: 0.2, high: 0.8 };
  const shapes: number[][] = [];
  const run = vi.fn(({ header }: { header: { data: Float32Array; dims: number[] } }) => {
    const [count, width] = header.dims as [number, number];
    shapes.push(header.dims);
    const logits = Float32Array.from({ length: 2 * count }, (_, at) => (at % 2 ? header.data[Math.floor(at / 2) * width + 1]! : 0));
    return Promise.resolve({ logits: { data: logits }, spoke: { data: header.data.slice() } });
  });
  vi.doMock("onnxruntime-web/wasm", () => ({
    env: { wasm: {} },
    InferenceSession: { create: () => Promise.resolve({ run, release: () => Promise.resolve() }) },
    Tensor: class {
      constructor(readonly kind: string, readonly data: Float32Array, readonly dims: number[]) {}
    },
  }));
  beforeEach(() => {
    shapes.length = 0;
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(new Uint8Array(8))));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it("is given the features in their order, a few hundred at a time, and each answer is its own", async () => {
    const judge = await Judge.load(how, features);
    const headers = Array.from({ length: 600 }, (_, at) => headerIn(headerBytes({ MajorLinkerVersion: at % 8, SizeOfImage: at })));
    const said = await judge.judge(headers);
    expect(shapes).toEqual([[256, 3], [256, 3], [88, 3]]);
    said.forEach((one, at) => {
      expect(one.probability).toBe(probabilityOf(at % 8, 2));
      expect(one.answer).toBe(answerOf(probabilityOf(at % 8, 2), how));
      expect([...one.spoke]).toEqual([64, at % 8, at]);
    });
    expect(await judge.judge([])).toEqual([]);
  });
  it("that cannot be fetched is not there", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response("", { status: 404 })));
    await expect(Judge.load(how, features)).rejects.toThrow("/model.onnx: 404");
  });
});

describe("what was never seen", () => {
  it("is a value besides the few there were, or beyond all of them", () => {
    const header = headerIn(headerBytes({ MajorLinkerVersion: 14, SizeOfImage: 4096, SizeOfCode: 70_000 }));
    const features = [
      { name: "MajorLinkerVersion", low: 2, high: 48, values: [2, 48] },
      { name: "MinorLinkerVersion", low: 0, high: 9, values: [0, 9] },
      { name: "SizeOfImage", low: 4096, high: 9999, values: null },
      { name: "SizeOfCode", low: 0, high: 69_999, values: null },
    ] as const;
    expect(unseen(header, features.map((one) => ({ ...one, values: one.values && [...one.values] }))).map((one) => one.name)).toEqual(["MajorLinkerVersion", "SizeOfCode"]);
  });
});
