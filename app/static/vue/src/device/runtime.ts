// Networks as ONNX on this device. All that one needs is fetched when it is opened: it runs without a network.
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { TypedTensor } from "onnxruntime-web/wasm";
import { patiently } from "../api";

export interface Opened {
  /** All outputs for one input of this shape. */
  run: (input: string, values: Float32Array, shape: number[]) => Promise<Record<string, Float32Array>>;
  /** Give its memory back; it is of no use afterwards. */
  release: () => Promise<void>;
}

/** The network at an address. Raises where it cannot be fetched or is none. */
export async function opened(address: string): Promise<Opened> {
  const runtime = await import("onnxruntime-web/wasm");
  Object.assign(runtime.env.wasm, { wasmPaths: { wasm }, numThreads: 1, proxy: false });
  const answer = await patiently(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  const session = await runtime.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), { executionProviders: ["wasm"] });
  const input = (values: Float32Array, shape: number[]): TypedTensor<"float32"> => new runtime.Tensor("float32", values, shape);
  return {
    run: async (name, values, shape) => {
      const said = await session.run({ [name]: input(values, shape) });
      return Object.fromEntries(Object.entries(said).map(([key, tensor]) => [key, tensor.data as Float32Array]));
    },
    release: () => session.release(),
  };
}

/** Second logit less the first, of each of n examples with two of them. */
export const differences = (logits: Float32Array): number[] => Array.from({ length: logits.length / 2 }, (_, at) => logits[2 * at + 1]! - logits[2 * at]!);

/** Calibrated probability of the second class from that margin, as utils/calibration.py has it. */
export const probabilityOf = (margin: number, temperature: number): number => 1 / (1 + Math.exp(-Math.min(50, Math.max(-50, margin / temperature))));

/** So that the page may draw: what follows blocks it. */
export const breath = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
