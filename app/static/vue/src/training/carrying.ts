// A piece of work carried out: a training from weights to an update, or examples asked of a network.
import { batches, seeded, shuffled } from "./chance";
import { given, targets } from "./examples";
import { isHead, outputsOfHead, trainHead } from "./head";
import { normOf, written, type Tensors } from "./tensors";
import type { Going, Made, Place, Work } from "./work";

const JUDGED = 32; // at a time

/** Train, or ask; `going` is told after each step and may wait, `load` begins what more than one layer needs. Raises an Error where the loss is not finite. */
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
