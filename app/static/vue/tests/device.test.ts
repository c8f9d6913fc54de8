import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import check from "../../../../utils/forecast/sky.json";
import { heat, Judge, Refused, verdict, type DeviceModel } from "../src/device/judge";
import { staleOrientation, withoutStaleOrientation } from "../src/device/orientation";
import { resize, SIDE, squareOf, turned } from "../src/device/pixels";
import { statistics, strangeness } from "../src/device/sky";
import said from "./device.json"; // written by python3 -m tests.forecast.fixture

const AREA = SIDE * SIDE;
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const meanOf = (values: Iterable<number>): number => {
  const all = [...values];
  return all.reduce((sum, value) => sum + value, 0) / all.length;
};

function pictureOf({ rgb, width, height }: { rgb: string; width: number; height: number }) {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  bytesOf(rgb).forEach((value, at) => (data[Math.floor(at / 3) * 4 + (at % 3)] = value));
  return { data, width, height };
}

describe.each(said.pictures)("the picture $name", (picture) => {
  const square = squareOf(pictureOf(picture));
  it("is the square that Python sees", () => {
    said.places.forEach((place, number) => {
      const [colour, row, column] = place as [number, number, number];
      expect(Math.abs(square[colour * AREA + row * SIDE + column]! - picture.values[number]!)).toBeLessThan(1e-4);
    });
    expect(Math.abs(meanOf(square) - picture.mean)).toBeLessThan(1e-4);
  });
  it("has the statistics that Python finds", () => {
    const found = statistics(square);
    expect(found).toHaveLength(41);
    found.forEach((value, number) => expect(Math.abs(value - picture.statistics[number]!), `${number}`).toBeLessThan(1e-3));
  });
  it("is judged as Python judges it", () => {
    for (const [margin, expected] of picture.verdicts as [number, ReturnType<typeof verdict>][]) {
      const found = verdict(margin, square, said.calibration, check);
      expect(found.answer).toBe(expected.answer);
      for (const key of ["probability", "strangeness", "light"] as const) expect(found[key]).toBeCloseTo(expected[key], 4);
      expect(found.strangeness).toBe(strangeness(square, check));
    }
  });
  it("is explained as Python explains it", async () => {
    const rule = (seen: Float32Array): number =>
      20 * (meanOf(seen.subarray(0, AREA).filter((_, at) => at % SIDE < SIDE / 2)) - meanOf(seen.subarray(2 * AREA, 2.5 * AREA)));
    const found = await heat(rule(square), square, (squares) => Promise.resolve(squares.map(rule)));
    expect(found.map((row) => row.length)).toEqual([7, 7, 7, 7, 7, 7, 7]);
    found.flat().forEach((value, at) => expect(value).toBeCloseTo(picture.heat.flat()[at]!, 3));
  });
});

describe("a turned square", () => {
  const square = Float32Array.from({ length: 3 * AREA }, (_, at) => at);
  it("has on its right what was above", () => {
    const [first, above] = [SIDE - 1, SIDE * 2 + SIDE - 1];
    expect(turned(square, 1)[first]).toBe(square[0]); // the left upper corner is the right upper one
    expect(turned(square, 1)[above]).toBe(square[2]);
    expect(turned(square, 2)[0]).toBe(square[AREA - 1]);
    expect(turned(square, 3)[AREA + (SIDE - 1) * SIDE]).toBe(square[AREA]); // in every colour
  });
  it("is itself after four quarters", () => {
    expect(turned(square, 0)).toBe(square);
    expect(turned(turned(square, 3), 1)).toEqual(square);
  });
});

describe("the resize", () => {
  it("changes nothing at the same size and keeps one colour, larger or smaller", () => {
    const square = Float32Array.from({ length: 3 * 25 }, (_, at) => at / 75);
    expect(resize(square, 5, 5)).toEqual(square);
    for (const side of [3, 64, 11]) {
      const plain = resize(new Float32Array(3 * 25).fill(0.25), 5, side);
      expect(plain).toHaveLength(3 * side * side);
      for (const value of plain) expect(value).toBeCloseTo(0.25, 6);
    }
  });
  it("draws a line between two values when it enlarges", () => {
    const [a, b, c, d] = resize(Float32Array.from({ length: 12 }, (_, at) => at % 2), 2, 4);
    expect([a, b, c, d].map((value) => value!.toFixed(3))).toEqual(["0.000", "0.250", "0.750", "1.000"]);
  });
  it("is quick with twelve million pixels", { timeout: 5000 }, () => {
    const square = squareOf({ data: new Uint8ClampedArray(4032 * 3024 * 4).fill(51), width: 4032, height: 3024 });
    expect(square[AREA]).toBeCloseTo(0.2, 6);
  });
});

describe("the orientation in a file", () => {
  it.each(said.camera_files)("is believed where Python believes it: $turned", async ({ file, turned }) => {
    const bytes = bytesOf(file);
    expect(staleOrientation(bytes.buffer) === undefined).toBe(turned);
    const decoded = new Uint8Array(await (await withoutStaleOrientation(new Blob([bytes]))).arrayBuffer());
    expect(decoded).toHaveLength(bytes.length);
    expect(decoded.filter((value, at) => value !== bytes[at])).toHaveLength(turned ? 0 : 1);
  });
  it("is none in what is no picture, or a piece of one", () => {
    expect(staleOrientation(new ArrayBuffer(0))).toBeUndefined();
    expect(staleOrientation(new TextEncoder().encode("not a picture at all").buffer)).toBeUndefined();
    for (const whole of said.camera_files.slice(0, 2).map(({ file }) => bytesOf(file))) for (let length = 0; length < whole.length; length++) expect(() => staleOrientation(whole.slice(0, length).buffer)).not.toThrow();
  });
});

describe("a model on the device", () => {
  const model: DeviceModel = { name: "conf_a", image_size: 8, ...said.calibration, onnx: "/model.onnx" };
  const run = vi.fn(({ pixels }: { pixels: { dims: number[]; data: Float32Array } }) => {
    const [count] = pixels.dims as [number];
    return Promise.resolve({ logits: { data: Float32Array.from({ length: 2 * count }, (_, at) => (at % 2 ? 3 : -1)) } });
  });
  const env = { wasm: {} as Record<string, unknown> };
  vi.doMock("onnxruntime-web/wasm", () => ({
    env,
    InferenceSession: { create: () => Promise.resolve({ run, release: () => Promise.resolve() }) },
    Tensor: class {
      constructor(
        readonly kind: string,
        readonly data: Float32Array,
        readonly dims: number[],
      ) {}
    },
  }));
  function decodesTo(picture: { width: number; height: number; data: Uint8ClampedArray }): void {
    vi.stubGlobal("createImageBitmap", () => Promise.resolve({ ...picture, close: () => undefined }));
    const context = { drawImage: vi.fn(), getImageData: () => picture };
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(context as never);
  }
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  beforeEach(() => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(new Uint8Array(8))));
  });

  it("is asked in its own size, for the photo and then for its covered copies", async () => {
    const picture = pictureOf(said.pictures[0]!);
    decodesTo({ ...picture, width: 120, height: 90 });
    const judge = await Judge.load(model, check);
    const found = await judge.judge(new Blob(["a photo"]));
    expect(found.verdict).toEqual(verdict(4, squareOf(picture), model, check));
    expect(found.heat.flat()).toEqual(new Array(49).fill(0));
    expect(run.mock.calls.map(([{ pixels }]) => pixels.dims)).toEqual([[1, 3, 8, 8], ...new Array(7).fill([7, 3, 8, 8])]);
    expect([...run.mock.calls[0]![0].pixels.data]).toEqual([...resize(squareOf(picture), SIDE, 8)]);
    expect(env.wasm).toMatchObject({ numThreads: 1, proxy: false, wasmPaths: { wasm: expect.stringContaining(".wasm") } });
  });
  it("refuses what the server refuses", async () => {
    const judge = await Judge.load(model, check);
    const reason = (): Promise<string> => judge.judge(new Blob([""])).then(String, (error: Refused) => error.reason);
    const whole = (width: number, alpha: number) => ({ width, height: 80, data: new Uint8ClampedArray(80 * 80 * 4).fill(alpha) });
    decodesTo(whole(63, 255));
    expect(await reason()).toBe("too small");
    decodesTo(whole(80, 254));
    expect(await reason()).toBe("not a photo");
    vi.stubGlobal("createImageBitmap", () => Promise.reject(new DOMException("no picture", "InvalidStateError")));
    expect(await reason()).toBe("not a picture");
  });
});
