// One piece of work of the worker: a training, what a network says of examples, or what a frozen one makes of them.
import { batches, seeded, shuffled } from "./chance";
import { given, targets, type Data, type Format } from "./examples";
import { isHead, outputsOfHead, trainHead } from "./head";
import type { Step } from "./network";
import { normOf, written, type Tensors } from "./tensors";

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

const JUDGED = 32; // at a time

/** Train, or ask; `going` is told after each step and may wait, `wasm` says where the runtime lies. Raises an Error where the loss is not finite. */
export async function carryOut(work: Work, going: (now: Going) => Promise<void>, load: (work: Work) => Promise<Place>): Promise<Made | Float32Array<ArrayBuffer>> {
  const place = isHead(work.net.steps) ? (work.kind === "train" ? trainHead(work) : outputsOfHead(work)) : await load(work);
  try {
    return work.kind === "train" ? await trained(work, place, going) : await asked(work, place, going);
  } finally {
    place.release();
  }
}

async function trained(work: Extract<Work, { kind: "train" }>, place: Place, going: (now: Going) => Promise<void>): Promise<Made> {
  const { data, format, hyper } = work;
  const [count, chance, wanted] = [data.answers.length, seeded(work.seed), targets(format, data.answers)];
  const of = hyper.local_epochs * Math.ceil(count / hyper.batch_size);
  let [done, sum, all] = [0, 0, 0];
  for (let pass = 0; pass < hyper.local_epochs; pass++) {
    let [lost, seen] = [0, 0];
    for (const batch of batches(shuffled(count, chance), hyper.batch_size)) {
      const loss = await place.step(given(data, format, batch), Float64Array.from(batch, (at) => wanted[at]!));
      [lost, seen] = [lost + loss * batch.length, seen + batch.length];
      if (!Number.isFinite(lost)) throw new Error("diverged");
      await going({ done: ++done, of, loss: lost / seen });
    }
    [sum, all] = [sum + lost, all + seen];
  }
  const after = await place.weights();
  const difference: Tensors = new Map(
    [...work.net.weights].map(([name, { shape, values }]) => [name, { shape, values: after.get(name)!.values.map((value, at) => value - values[at]!) }]),
  );
  const norm = normOf(difference);
  if (!Number.isFinite(norm)) throw new Error("diverged");
  return { body: written(difference), samples: count, steps: done, loss: sum / all, norm, backend: place.backend };
}

async function asked({ data, format }: Work, place: Place, going: (now: Going) => Promise<void>): Promise<Float32Array<ArrayBuffer>> {
  const count = data.answers.length;
  const parts: Float32Array<ArrayBuffer>[] = [];
  for (let first = 0; first < count; first += JUDGED) {
    const places = Array.from({ length: Math.min(JUDGED, count - first) }, (_, at) => first + at);
    parts.push(await place.outputs(given(data, format, places), places.length));
    await going({ done: first + places.length, of: count, loss: 0 });
  }
  const whole = new Float32Array(parts.reduce((sum, one) => sum + one.length, 0));
  parts.reduce((end, one) => (whole.set(one, end), end + one.length), 0);
  return whole;
}
