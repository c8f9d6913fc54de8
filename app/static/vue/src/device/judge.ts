// A photo judged on the device as utils/forecast/predictor.py judges it on the server; the photo goes nowhere.
import { decoded, Refused, strips } from "./decoding";
import { resize, SIDE, squareOf, turned } from "./pixels";
import { breath, differences, opened, probabilityOf, type Opened } from "./runtime";
import { lightOf, mean, strangeness, type SkyCheck } from "./sky";

export { Refused };
export type { SkyCheck };

export interface DeviceModel {
  name: string;
  image_size: number;
  temperature: number;
  cloudy_to: number;
  sunny_from: number;
  onnx: string; // address
}

export interface Verdict {
  answer: "sunny" | "cloudy" | "unsure" | "night" | "no colour" | "no sky";
  probability: number; // of sunny
  strangeness: number;
  light: number;
}

const DARK = 0.12;
const COLOURLESS = 0.004; // as utils/forecast/predictor.py has it
const SMALLEST = 64;
const [PATCH, STEP] = [(SIDE * 4) / 16, (SIDE * 2) / 16];
const STARTS = Array.from({ length: (SIDE - PATCH) / STEP + 1 }, (_, number) => number * STEP);

/** What a model says of a square whose logit of sunny against cloudy is `margin`. */
export function verdict(
  margin: number,
  square: Float32Array,
  model: Pick<DeviceModel, "temperature" | "cloudy_to" | "sunny_from">,
  check: SkyCheck,
): Verdict {
  const probability = probabilityOf(margin, model.temperature);
  const strange = strangeness(square, check);
  const light = mean(lightOf(square));
  let answer: Verdict["answer"] = "unsure";
  if (light < DARK) answer = "night";
  else if (colourOf(square) < COLOURLESS) answer = "no colour";
  else if (strange > 1) answer = "no sky";
  else if (probability >= model.sunny_from) answer = "sunny";
  else if (probability <= model.cloudy_to) answer = "cloudy";
  return { answer, probability, strangeness: strange, light };
}

/** Mean difference of the strongest and the weakest channel, 0..1. */
function colourOf(square: Float32Array): number {
  const area = SIDE * SIDE;
  return mean(
    Float64Array.from({ length: area }, (_, at) => {
      const channels = [square[at]!, square[area + at]!, square[2 * area + at]!];
      return Math.max(...channels) - Math.min(...channels);
    }),
  );
}

/** How much the logit falls when a part is painted in the mean colour, 7 × 7, the largest 1 in size. */
export async function heat(
  margin: number,
  square: Float32Array,
  marginsOf: (squares: Float32Array[]) => Promise<number[]>,
): Promise<number[][]> {
  const area = SIDE * SIDE;
  const means = [0, 1, 2].map((colour) => mean(Float64Array.from(square.subarray(colour * area, (colour + 1) * area))));
  const rows: number[][] = [];
  for (const top of STARTS) {
    const covered = STARTS.map((left) => {
      const copy = square.slice();
      means.forEach((value, colour) => {
        for (let row = top; row < top + PATCH; row++) {
          const at = colour * area + row * SIDE + left;
          copy.fill(value, at, at + PATCH);
        }
      });
      return copy;
    });
    rows.push((await marginsOf(covered)).map((other) => (margin - other) * (margin >= 0 ? 1 : -1)));
  }
  const largest = Math.max(1e-9, ...rows.flat().map(Math.abs));
  return rows.map((row) => row.map((value) => value / largest));
}

/** A model on this device. All it needs is fetched by `load`: `judge` works without a network. */
export class Judge {
  private constructor(
    private readonly model: DeviceModel,
    private readonly check: SkyCheck,
    private readonly network: Opened,
  ) {}

  static async load(model: DeviceModel, check: SkyCheck): Promise<Judge> {
    return new Judge(model, check, await opened(model.onnx));
  }

  /** What the photo shows when it is turned by so many quarters, clockwise. Raises Refused. */
  async judge(file: Blob, turns = 0): Promise<{ verdict: Verdict; heat: number[][] }> {
    const square = turned(await squareIn(file), turns);
    const [margin] = (await this.margins([square])) as [number];
    return {
      verdict: verdict(margin, square, this.model, this.check),
      heat: await heat(margin, square, (squares) => this.margins(squares)),
    };
  }

  /** Give the model's memory back; the judge is of no use afterwards. */
  release(): Promise<void> {
    return this.network.release();
  }

  private async margins(squares: Float32Array[]): Promise<number[]> {
    await breath();
    const side = this.model.image_size;
    const pixels = new Float32Array(squares.length * 3 * side * side);
    squares.forEach((square, at) => pixels.set(side === SIDE ? square : resize(square, SIDE, side), at * 3 * side * side));
    const { logits } = await this.network.run("pixels", pixels, [squares.length, 3, side, side]);
    return differences(logits!);
  }
}

async function squareIn(file: Blob): Promise<Float32Array> {
  const bitmap = await decoded(file);
  try {
    if (Math.min(bitmap.width, bitmap.height) < SMALLEST) throw new Refused("too small");
    const [square] = [...strips(bitmap)] as [ImageData];
    return squareOf(square);
  } finally {
    bitmap.close();
  }
}
