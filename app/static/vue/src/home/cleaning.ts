// From a picture's file to an example, as utils/calls/examples.py `picture` makes it: the same pixels to the bit, where
// browser and Python decode a file alike.
import { decoded, Refused, strips } from "../device/decoding";
import { isAnimated, kindOf } from "./still";

export interface Shape {
  side: number;
  channels: 1 | 3;
}

/** An example as it is kept: pixels (channels, side, side), and the same as a PNG. */
export interface Clean {
  pixels: Uint8Array<ArrayBuffer>;
  picture: Blob;
}

interface Rows {
  data: Uint8ClampedArray; // RGBA
  width: number;
  height: number;
}

const SMALLEST = 64;
const MOST_BYTES = 100_000_000;
const [MOST_PIXELS, MOST_OF_JPEG] = [50_000_000, 200_000_000];
const ROWS = 256; // of a strip
const BITS = 22; // Pillow's PRECISION_BITS, 32 - 8 - 2
const REACH = 3; // of the Lanczos kernel

/** The picture in a file, cleaned. Raises Refused. */
export async function cleaned(file: Blob, shape: Shape): Promise<Clean> {
  if (!file.size) throw new Refused("empty file");
  if (file.size > MOST_BYTES) throw new Refused("too large");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = kindOf(bytes);
  if (isAnimated(bytes)) throw new Refused("animated");
  const bitmap = await decoded(file).catch((fault: Refused) => {
    throw kind === "heic" ? new Refused("no HEIC") : fault;
  });
  try {
    const { width, height } = bitmap;
    if (width * height > (kind === "jpeg" ? MOST_OF_JPEG : MOST_PIXELS)) throw new Refused("too large");
    if (Math.min(width, height) < (shape.side < SMALLEST ? 1 : SMALLEST)) throw new Refused("too small");
    const pixels = squareOf(strips(bitmap, ROWS), Math.min(width, height), shape);
    return { pixels, picture: await pngOf(pixels, shape) };
  } finally {
    bitmap.close();
  }
}

/** The square that such strips make up, `side` pixels wide, in the shape of a task's examples. */
export function squareOf(parts: Iterable<Rows>, side: number, { side: to, channels }: Shape): Uint8Array<ArrayBuffer> {
  const kernel = side === to ? undefined : kernelOf(side, to);
  const narrow = new Uint8Array(3 * side * to); // planar, `side` rows of `to`
  let row = 0;
  for (const { data, width, height } of parts) {
    for (let y = 0; y < height; y++, row++) {
      for (let colour = 0; colour < 3; colour++) across(data, y * width * 4 + colour, kernel, to, narrow, (colour * side + row) * to);
    }
  }
  const square = kernel ? down(narrow, side, to, kernel) : narrow;
  return channels === 3 ? square : greyOf(square);
}

/** Pillow's convert("L") of planar RGB. */
export function greyOf(square: Uint8Array): Uint8Array<ArrayBuffer> {
  const area = square.length / 3;
  return Uint8Array.from({ length: area }, (_, at) => (square[at]! * 19595 + square[area + at]! * 38470 + square[2 * area + at]! * 7471 + 0x8000) >> 16);
}

interface Kernel {
  first: Int32Array; // of each value that is made, from which on
  weights: Int32Array[]; // and by how much, in units of 2^-BITS
}

/** Pillow's precompute_coeffs and normalize_coeffs_8bpc for LANCZOS. */
function kernelOf(from: number, to: number): Kernel {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = REACH * stretch;
  const first = new Int32Array(to);
  const weights = Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const plain = Float64Array.from({ length: end - start }, (_, x) => lanczos((x + start - centre + 0.5) * (1 / stretch)));
    const sum = plain.reduce((total, one) => total + one, 0);
    first[at] = start;
    return Int32Array.from(plain, (one) => Math.trunc((one / sum) * 2 ** BITS + (one < 0 ? -0.5 : 0.5)));
  });
  return { first, weights };
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const lanczos = (x: number): number => (x >= -REACH && x < REACH ? sinc(x) * sinc(x / REACH) : 0);
const clipped = (sum: number): number => Math.min(255, Math.max(0, sum >> BITS));

function across(data: Uint8ClampedArray, start: number, kernel: Kernel | undefined, to: number, into: Uint8Array, place: number): void {
  for (let x = 0; x < to; x++) {
    if (!kernel) {
      into[place + x] = data[start + 4 * x]!;
      continue;
    }
    const weights = kernel.weights[x]!;
    let sum = 1 << (BITS - 1);
    for (let number = 0, at = start + 4 * kernel.first[x]!; number < weights.length; number++, at += 4) sum += weights[number]! * data[at]!;
    into[place + x] = clipped(sum);
  }
}

function down(narrow: Uint8Array, side: number, to: number, { first, weights }: Kernel): Uint8Array<ArrayBuffer> {
  const square = new Uint8Array(3 * to * to);
  for (let colour = 0; colour < 3; colour++) {
    for (let y = 0; y < to; y++) {
      for (let x = 0; x < to; x++) {
        let sum = 1 << (BITS - 1);
        weights[y]!.forEach((weight, number) => (sum += weight * narrow[(colour * side + first[y]! + number) * to + x]!));
        square[(colour * to + y) * to + x] = clipped(sum);
      }
    }
  }
  return square;
}

/** Pixels as a PNG file. */
async function pngOf(pixels: Uint8Array, { side, channels }: Shape): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  const area = side * side;
  for (let at = 0; at < 4 * area; at++) {
    image.data[at] = at % 4 === 3 ? 255 : pixels[(channels === 3 ? (at % 4) * area : 0) + (at >> 2)]!;
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Refused("too large"))), "image/png"));
}
