// What travels of a task: tensors by name, as safetensors (a header of JSON, then the numbers).
export interface Tensor {
  shape: number[];
  values: Float32Array<ArrayBuffer>;
}
export type Tensors = Map<string, Tensor>;
export type Shapes = Record<string, number[]>;

const LONGEST = 1_000_000; // bytes of a header

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/** The tensors of a file, in float32. Raises an Error that says what is wrong. */
export function read(raw: ArrayBuffer): Tensors {
  const length = raw.byteLength < 8 ? -1 : Number(new DataView(raw).getBigUint64(0, true));
  if (length < 2 || length > Math.min(LONGEST, raw.byteLength - 8)) throw new Error("no safetensors: its header cannot be of that length");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 8, length))) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const found: Tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const bytes = raw.slice(8 + length + from, 8 + length + to); // a copy begins where numbers may begin
    const width = { F32: 4, F16: 2 }[dtype];
    if (!width || bytes.byteLength !== width * sizeOf(shape)) throw new Error(`${name}: not the numbers that its header speaks of`);
    found.set(name, { shape, values: width === 4 ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), half) });
  }
  return found;
}

/** A number of half precision from its bits. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
}

/** Tensors as the bytes that travel. */
export function written(tensors: Tensors): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header: Record<string, object> = {};
  for (const [name, { shape, values }] of tensors) header[name] = { dtype: "F32", shape, data_offsets: [end, (end += values.byteLength)] };
  let text = JSON.stringify(header);
  text += " ".repeat(-text.length & 7);
  const words = new TextEncoder().encode(text);
  const whole = new Uint8Array(8 + words.length + end);
  new DataView(whole.buffer).setBigUint64(0, BigInt(words.length), true);
  whole.set(words, 8);
  let at = 8 + words.length;
  for (const { values } of tensors.values()) {
    whole.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return whole;
}

/** Whether the tensors are just those of these shapes. */
export const fits = (tensors: Tensors, shapes: Shapes): boolean =>
  tensors.size === Object.keys(shapes).length && Object.entries(shapes).every(([name, shape]) => `${tensors.get(name)?.shape}` === `${shape}`);

/** The Euclidean norm of all tensors together. */
export function normOf(tensors: Tensors): number {
  let sum = 0;
  for (const { values } of tensors.values()) for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
