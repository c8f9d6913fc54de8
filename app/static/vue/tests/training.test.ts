import { describe, expect, it } from "vitest";
import { batches, noise, seeded, shuffled } from "../src/training/chance";
import { given, targets, type Data, type Format } from "../src/training/examples";
import { isHead, trainHead } from "../src/training/head";
import { covered, epsilon } from "../src/training/privacy";
import { fits, normOf, read, written, type Tensors } from "../src/training/tensors";
import { carryOut } from "../src/training/carrying";
import type { Made, Work } from "../src/training/work";

const tensors = (of: Record<string, [number[], number[]]>): Tensors => new Map(Object.entries(of).map(([name, [shape, values]]) => [name, { shape, values: Float32Array.from(values) }]));
const file = (header: object, body: number[]): ArrayBuffer => {
  const words = new TextEncoder().encode(JSON.stringify(header));
  const whole = new Uint8Array(8 + words.length + body.length);
  new DataView(whole.buffer).setBigUint64(0, BigInt(words.length), true);
  whole.set(words, 8);
  whole.set(body, 8 + words.length);
  return whole.buffer;
};

describe("tensors", () => {
  it("come back as they were written, and fit their shapes alone", () => {
    const made = tensors({ "0_dense.weight": [[2, 3], [1, -2, 3.5, 0, 1e-40, 6]], bias: [[2], [7, 8]] });
    const again = read(written(made).buffer);
    expect([...again]).toEqual([...made]);
    expect(normOf(tensors({ a: [[1], [3]], b: [[1], [4]] }))).toBe(5);
    expect(fits(again, { bias: [2], "0_dense.weight": [2, 3] })).toBe(true);
    expect(fits(again, { bias: [2], "0_dense.weight": [3, 2] })).toBe(false);
    expect(fits(again, { bias: [2] })).toBe(false);
  });
  it("are read from half precision: ordinary, subnormal, infinite and negative numbers", () => {
    // 1, -2, 65504 (the largest), 2^-24 (the smallest subnormal), 1023 * 2^-24 (the largest), infinite, NaN, -0
    const bits = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0xfc00, 0x7e00, 0x8000];
    const { values } = read(file({ a: { dtype: "F16", shape: [8], data_offsets: [0, 16] } }, bits.flatMap((one) => [one & 255, one >> 8]))).get("a")!;
    expect([...values]).toEqual([1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, -Infinity, NaN, -0]);
  });
  it("of a damaged file raise", () => {
    const whole = written(tensors({ a: [[2], [1, 2]] }));
    expect(() => read(new ArrayBuffer(7))).toThrow("no safetensors");
    expect(() => read(file({}, []).slice(0, 9))).toThrow("no safetensors");
    expect(() => read(whole.buffer.slice(0, -1))).toThrow("a: not the numbers");
    expect(() => read(file({ a: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, [0, 0, 0, 0, 0, 0, 0, 0]))).toThrow("a: not the numbers");
    whole[9] = 0;
    expect(() => read(whole.buffer)).toThrow();
  });
});

describe("chance", () => {
  it("of a seed is mulberry32", () => {
    // by its definition in Python, with integers of any length
    for (const [seed, ...wanted] of [
      [0, 0.26642920868471265, 0.0003297457005828619, 0.2232720274478197],
      [1, 0.6270739405881613, 0.002735721180215478, 0.5274470399599522],
      [0xffffffff, 0.8964226141106337, 0.189478256739676, 0.7156526781618595],
    ]) {
      const next = seeded(seed!);
      expect(wanted.map(() => next())).toEqual(wanted);
    }
  });
  it("orders all examples, each once, and another seed otherwise", () => {
    const [one, other] = [shuffled(50, seeded(3)), shuffled(50, seeded(4))];
    expect([...one].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, at) => at));
    expect(one).toEqual(shuffled(50, seeded(3)));
    expect(one).not.toEqual(other);
  });
  it("cuts batches as numpy.array_split, as few as may be", () => {
    const cut = (count: number, most: number): number[][] => batches(Int32Array.from({ length: count }, (_, at) => at), most).map((one) => [...one]);
    expect(cut(11, 3)).toEqual([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10]]);
    expect(cut(3, 10)).toEqual([[0, 1, 2]]);
    expect(cut(21, 10).map((one) => one.length)).toEqual([7, 7, 7]);
  });
  it("of noise is normal", () => {
    const next = noise();
    const drawn = Array.from({ length: 40_000 }, () => next.next().value);
    const moment = (power: number): number => drawn.reduce((sum, value) => sum + value ** power, 0) / drawn.length;
    // each bound is five standard errors
    expect(Math.abs(moment(1))).toBeLessThan(0.025);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.036);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.25);
  });
});

describe("privacy", () => {
  it("tells epsilon exactly", () => {
    // Q = lambda x: erfc(x / sqrt(2)) / 2; delta = Q(e / mu - mu / 2) - exp(e) * Q(e / mu + mu / 2) (Balle and Wang 2018,
    // theorem 8), halved down to delta = 1e-5 in Python with math.erfc
    expect(epsilon([{ clip: 1, noise: 2 }])).toBeCloseTo(4.3771780956812245, 8); // mu = 1
    expect(epsilon([{ clip: 3, noise: 0.5 }])).toBeCloseTo(24.381610883113666, 7); // mu = 4
    expect(epsilon(Array.from({ length: 10 }, () => ({ clip: 1, noise: 5 })))).toBeCloseTo(5.759481465697511, 8); // mu² = 10 * 4 / 25
    expect(epsilon([{ clip: 1, noise: 20 }])).toBeCloseTo(0.34066936468432574, 8); // mu = 0.1
  });
  it("knows no bound without noise, and nothing sent tells nothing", () => {
    expect(epsilon([])).toBe(0);
    expect(epsilon([{ clip: 1, noise: 2 }, { clip: 0, noise: 0 }])).toBe(Infinity);
    expect(epsilon([{ clip: 1, noise: 1e-7 }])).toBe(Infinity);
    expect(epsilon([{ clip: 1, noise: 1e6 }])).toBe(0);
  });
  it("clips, and leaves alone what is short or not to be clipped", () => {
    const made = tensors({ a: [[1], [3]], b: [[1], [4]] });
    expect(covered(made, 0, 0)).toBe(made);
    expect([...covered(made, 6, 0).values()].flatMap(({ values }) => [...values])).toEqual([3, 4]);
    const short = covered(made, 0.5, 0);
    expect(normOf(short)).toBeCloseTo(0.5, 6);
    expect(short.get("a")!.values[0]! / short.get("b")!.values[0]!).toBeCloseTo(0.75, 6);
    expect(normOf(covered(tensors({ a: [[2], [0, 0]] }), 1, 0))).toBe(0);
  });
  it("covers with noise of clip times noise", () => {
    const { values } = covered(tensors({ a: [[40_000], Array(40_000).fill(0)] }), 2, 0.25).get("a")!;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(variance / 0.25 - 1)).toBeLessThan(0.036);
  });
});

const rows: Format = { input: { kind: "values", fields: [{ key: "a", name: "a", unit: "", low: 0, high: 10 }, { key: "b", name: "b", unit: "", low: -1, high: 1 }] }, answer: { kind: "label", labels: [{ name: "no", hint: "" }, { name: "yes", hint: "" }] } } as never;
const pictures = (channels: 1 | 3, colours: string): Format => ({ input: { kind: "picture", side: 2, channels, colours }, answer: rows.answer }) as never;

describe("what a network is given", () => {
  it("of values are they in the span of their field", () => {
    const data: Data = { inputs: Float64Array.of(0, -1, 5, 1, 10, 0), answers: Float64Array.of(0, 1, 1), features: 0 };
    expect([...given(data, rows, [2, 0])]).toEqual([1, 0, -1, -1]);
    expect([...given({ ...data, inputs: Float32Array.of(1, 2, 3, 4, 5, 6), features: 2 }, rows, [1])]).toEqual([3, 4]);
    expect([...targets({ answer: { kind: "number", name: "y", unit: "", low: 100, high: 300 } } as never, Float64Array.of(100, 250))]).toEqual([-1, 0.5]);
  });
  it("of pictures are planes of grey, of ImageNet's scale or of opponent colours", () => {
    const pixels = Uint8Array.from([0, 51, 102, 255, 255, 0, 51, 102, 10, 20, 30, 40]);
    const data: Data = { inputs: pixels, answers: Float64Array.of(0), features: 0 };
    expect([...given({ ...data, inputs: pixels.slice(0, 4) }, pictures(1, "grey"), [0])]).toEqual([0, 51, 102, 255].map((value) => Math.fround(value / 255)));
    const colours = [0, 1, 2, 3].map((at) => [0, 4, 8].map((plane) => pixels[plane + at]! / 255) as [number, number, number]);
    const expected = (of: (rgb: [number, number, number]) => number[]): number[] => [0, 1, 2].flatMap((channel) => colours.map((rgb) => of(rgb)[channel]!));
    const near = (made: Float32Array, wanted: number[]): void => wanted.forEach((value, at) => expect(made[at]).toBeCloseTo(value, 5));
    near(given(data, pictures(3, "rgb"), [0]), expected(([r, g, b]) => [(r - 0.485) / 0.229, (g - 0.456) / 0.224, (b - 0.406) / 0.225]));
    near(given(data, pictures(3, "opponent"), [0]), expected(([r, g, b]) => [(r + 2 * g + b) / 4, 3 * (b - r), 3 * (g - (r + b) / 2)]));
  });
});

const net = { steps: [{ do: "dense", weight: "w", bias: "b" } as never], weights: tensors({ w: [[2, 2], [0.5, -1, 0.25, 2]], b: [[2], [0.1, -0.2]] }) };
const work: Extract<Work, { kind: "train" }> = {
  kind: "train", net, format: rows, data: { inputs: Float64Array.of(0, -1, 5, 1, 10, 0, 3, 0.5, 1, 1), answers: Float64Array.of(0, 1, 1, 0, 1), features: 0 },
  hyper: { lr: 0.5, momentum: 0.9, batch_size: 2, local_epochs: 3 }, seed: 7,
};

describe("a training", () => {
  it("of one layer steps as torch does", async () => {
    // torch.optim.SGD(lr=0.5, momentum=0.9) and cross_entropy, twice over the rows (1, 2) and (-0.5, 0.75) with labels 0 and 1
    const place = trainHead(work);
    const inputs = Float32Array.of(1, 2, -0.5, 0.75);
    expect(await place.step(inputs, Float64Array.of(0, 1))).toBeCloseTo(2.786282539, 6);
    expect(await place.step(inputs, Float64Array.of(0, 1))).toBeCloseTo(1.457840919, 6);
    const made = await place.weights();
    [1.261133194, 0.326733589, -0.511133075, 0.673266411].forEach((value, at) => expect(made.get("w")!.values[at]).toBeCloseTo(value, 5));
    [0.693533778, -0.793533742].forEach((value, at) => expect(made.get("b")!.values[at]).toBeCloseTo(value, 5));
    expect([isHead([{ do: "flatten" }, ...net.steps] as never), isHead([...net.steps, { do: "relu" }] as never)]).toEqual([true, false]);
  });
  it("is equal for equal seeds, another for others, and tells how it goes", async () => {
    const told: number[] = [];
    const train = (seed: number): Promise<Made> => carryOut({ ...work, seed }, (now) => Promise.resolve(void told.push(now.done / now.of)), () => Promise.reject(new Error("no library is needed"))) as Promise<Made>;
    const [one, same, other] = [await train(7), await train(7), await train(8)];
    expect(one).toEqual(same);
    expect(one.body).not.toEqual(other.body);
    expect(one).toMatchObject({ samples: 5, steps: 9, backend: "plain", norm: normOf(read(one.body.buffer)) });
    expect(told.slice(0, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((done) => done / 9));
  });
  it("that comes to no numbers fails", async () => {
    const wild = { ...work, hyper: { ...work.hyper, lr: 1e300 } };
    await expect(carryOut(wild, () => Promise.resolve(), () => Promise.reject(new Error("none")))).rejects.toThrow("diverged");
  });
});
