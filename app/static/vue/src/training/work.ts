// One piece of work of the worker: a training, what a network says of examples, or what a frozen one makes of them.
import type { Data, Format } from "./examples";
import type { Step } from "./network";
import type { Tensors } from "./tensors";

export interface Hyper {
  lr: number;
  momentum: number;
  batch_size: number;
  local_epochs: number;
}

export interface Net {
  steps: Step[];
  weights: Tensors;
}

export type Work =
  | { kind: "train"; net: Net; format: Format; data: Data; hyper: Hyper; seed: number; backend?: Backend }
  | { kind: "outputs"; net: Net; format: Format; data: Data; backend?: Backend };

export type Backend = "wasm" | "webgl" | "cpu";

/** How a training goes: steps done, of how many, and the mean loss of the pass so far. */
export interface Going {
  done: number;
  of: number;
  loss: number;
}

export interface Made {
  body: Uint8Array<ArrayBuffer>; // of the update, safetensors
  samples: number;
  steps: number;
  loss: number;
  norm: number;
  backend: Backend | "plain";
}

/** Where a network is trained or asked: by hand, or on TensorFlow.js. `step` gives the mean loss of a batch. */
export interface Place {
  backend: Made["backend"];
  step(inputs: Float32Array<ArrayBuffer>, wanted: Float64Array<ArrayBuffer>): Promise<number>;
  outputs(inputs: Float32Array<ArrayBuffer>, count: number): Promise<Float32Array<ArrayBuffer>>;
  weights(): Promise<Tensors>;
  release(): void;
}
