// Is it a sky at all? The statistics and the distance of utils/forecast/sky_check.py.
import { SIDE } from "./pixels";

export interface SkyCheck {
  mean: number[];
  spread: number[];
  precision: number[][];
  threshold: number;
}

type Numbers = Float64Array;
const AREA = SIDE * SIDE;
const INNER = SIDE - 1;

/** Light (ITU-R BT.601) of each pixel of a square, 3 × SIDE × SIDE. */
export const lightOf = (square: Float32Array): Numbers =>
  Float64Array.from({ length: AREA }, (_, at) => 0.299 * square[at]! + 0.587 * square[AREA + at]! + 0.114 * square[2 * AREA + at]!);

export const mean = (values: Numbers): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Distance of a square from skies, 1 at the threshold: above it, it is taken for none. */
export function strangeness(square: Float32Array, check: SkyCheck): number {
  const standard = statistics(square).map((value, at) => (value - check.mean[at]!) / check.spread[at]!);
  const distance = check.precision.reduce(
    (sum, row, at) => sum + standard[at]! * row.reduce((inner, weight, other) => inner + weight * standard[other]!, 0),
    0,
  );
  return distance / check.threshold;
}

/** 41 plain statistics of a square: light, colour, contrast at five scales, edges, thirds. */
export function statistics(square: Float32Array): number[] {
  const [red, green, blue] = [0, 1, 2].map((colour) => Float64Array.from(square.subarray(colour * AREA, (colour + 1) * AREA))) as [
    Numbers,
    Numbers,
    Numbers,
  ];
  const light = lightOf(square);
  const chroma = red.map((value, at) => Math.max(value, green[at]!, blue[at]!) - Math.min(value, green[at]!, blue[at]!));
  const found = [mean(light), deviation(light), mean(chroma), deviation(chroma)];
  for (const step of [1, 2, 4, 8, 16]) {
    found.push(logOf(steps(light, step, 0, SIDE - step, SIDE)), logOf(steps(light, 0, step, SIDE, SIDE - step)));
  }
  const across = steps(light, 1, 0, INNER, INNER);
  const down = steps(light, 0, 1, INNER, INNER);
  const edge = across.map((value, at) => Math.max(value, down[at]!));
  found.push(
    share(edge, (value) => value < 0.004),
    share(edge, (value) => value > 0.2),
    share(across, (value, at) => value > 0.08 && down[at]! < 0.02),
    share(down, (value, at) => value > 0.08 && across[at]! < 0.02),
  );
  const coarse = (value: number): number => Math.min(Math.trunc(value * 16), 15);
  found.push(Math.log(new Set(red.map((value, at) => coarse(value) * 256 + coarse(green[at]!) * 16 + coarse(blue[at]!))).size));
  const shares = new Array<number>(16).fill(0);
  for (const value of light) shares[Math.max(0, coarse(value))]! += 1 / AREA;
  found.push(-shares.reduce((sum, part) => (part > 0 ? sum + part * Math.log(part) : sum), 0), Math.max(...shares));
  for (const top of [0, SIDE / 3, (2 * SIDE) / 3]) {
    const third = (values: Numbers, width: number): Numbers => values.subarray(top * width, (top + SIDE / 3) * width);
    const [r, g, b] = [third(red, SIDE), third(green, SIDE), third(blue, SIDE)];
    found.push(
      mean(third(light, SIDE)),
      deviation(third(light, SIDE)),
      mean(b.map((value, at) => value - r[at]!)),
      mean(g.map((value, at) => value - (r[at]! + b[at]!) / 2)),
      logOf(third(edge, INNER)),
      share(r, (value, at) => value > b[at]! + 0.05),
    );
  }
  for (const colour of [blue, red]) {
    const shade = colour.map((value, at) => value - light[at]!);
    found.push(logOf(steps(shade, 1, 0, INNER, SIDE)));
  }
  return found;
}

/** How much the pixels differ from those `right` and `down` of them, in the first `columns` and `rows`. */
const steps = (values: Numbers, right: number, down: number, columns: number, rows: number): Numbers =>
  Float64Array.from({ length: columns * rows }, (_, number) => {
    const at = Math.floor(number / columns) * SIDE + (number % columns);
    return Math.abs(values[at + down * SIDE + right]! - values[at]!);
  });

const logOf = (values: Numbers): number => Math.log(mean(values) + 1e-3);

function deviation(values: Numbers): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

function share(values: Numbers, holds: (value: number, at: number) => boolean): number {
  return values.reduce((count, value, at) => (holds(value, at) ? count + 1 : count), 0) / values.length;
}
