// From a picture to what networks see: the same resize as utils/forecast/pixels.py, so that both judge the same.
export const SIDE = 96;

export interface Picture {
  data: Uint8ClampedArray; // RGBA
  width: number;
  height: number;
}

interface Weights {
  first: number;
  weights: Float64Array;
}

/** The centre square of a picture, planar 3 × SIDE × SIDE, 0..1. */
export function squareOf({ data, width, height }: Picture): Float32Array {
  const side = Math.min(width, height);
  const start = (((height - side) >> 1) * width + ((width - side) >> 1)) * 4;
  const square = new Float32Array(3 * SIDE * SIDE);
  for (let colour = 0; colour < 3; colour++) {
    shrink(data, start + colour, 4, width * 4, side, 255, square.subarray(colour * SIDE * SIDE, (colour + 1) * SIDE * SIDE));
  }
  return square;
}

/** A planar square 3 × SIDE × SIDE, turned by so many quarters, clockwise. */
export function turned(square: Float32Array, turns: number): Float32Array {
  if (!turns) return square;
  const once = new Float32Array(square.length);
  for (let colour = 0; colour < 3; colour++) {
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        once[(colour * SIDE + column) * SIDE + SIDE - 1 - row] = square[(colour * SIDE + row) * SIDE + column]!;
      }
    }
  }
  return turned(once, turns - 1);
}

/** A planar square 3 × `from` × `from` at 3 × `to` × `to`. */
export function resize(square: Float32Array, from: number, to: number): Float32Array {
  const resized = new Float32Array(3 * to * to);
  for (let colour = 0; colour < 3; colour++) {
    shrink(square, colour * from * from, 1, from, from, 1, resized.subarray(colour * to * to, (colour + 1) * to * to));
  }
  return resized;
}

/** One colour: `side` rows, `down` apart, of values `across` apart and up to `full`, into the square `into`. */
function shrink(
  data: Uint8ClampedArray | Float32Array,
  start: number,
  across: number,
  down: number,
  side: number,
  full: number,
  into: Float32Array,
): void {
  const rows = kernel(side, Math.sqrt(into.length));
  const line = new Float64Array(side);
  let filled = 0;
  for (const row of rows) {
    line.fill(0);
    row.weights.forEach((weight, number) => {
      let at = start + (row.first + number) * down;
      for (let x = 0; x < side; x++, at += across) line[x]! += weight * data[at]!;
    });
    for (const { first, weights } of rows) {
      let sum = 0;
      for (let number = 0; number < weights.length; number++) sum += weights[number]! * line[first + number]!;
      into[filled++] = sum / full;
    }
  }
}

/** For each of `to` values the `from` values that it is made of: a triangle as wide as the shrinking asks for. */
function kernel(from: number, to: number): Weights[] {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, number) => {
    const centre = (number + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support));
    const end = Math.min(from, Math.ceil(centre + support));
    const weights = Float64Array.from({ length: end - first }, (_, at) =>
      Math.max(0, 1 - Math.abs(first + at + 0.5 - centre) / support),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
