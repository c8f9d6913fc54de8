// One linear layer, trained by hand: the head of a frozen backbone, and logistic or linear regression. It needs no library.
import type { Step } from "./network";
import type { Tensors } from "./tensors";
import type { Place, Work } from "./work";

type Dense = Extract<Step, { do: "dense" }>;

/** Whether a network is one linear layer and nothing else that is learnt. */
export const isHead = (steps: readonly Step[]): boolean => steps.at(-1)?.do === "dense" && steps.slice(0, -1).every((step) => step.do === "flatten");

export const trainHead = (work: Extract<Work, { kind: "train" }>): Place => place(work, work.hyper, work.format.answer.kind === "label");
export const outputsOfHead = (work: Work): Place => place(work, { lr: 0, momentum: 0 }, true);

function place({ net }: Work, { lr, momentum }: { lr: number; momentum: number }, isLabel: boolean): Place {
  const layer = net.steps.at(-1) as Dense;
  const weight = net.weights.get(layer.weight)!;
  const [outputs, width] = weight.shape as [number, number];
  // Double precision throughout: what is sent is rounded once.
  const at = { weight: Float64Array.from(weight.values), bias: layer.bias ? Float64Array.from(net.weights.get(layer.bias)!.values) : new Float64Array(outputs) };
  const speed = { weight: new Float64Array(at.weight.length), bias: new Float64Array(outputs) };

  function reckoned(inputs: Float32Array, count: number): Float64Array<ArrayBuffer> {
    const made = new Float64Array(count * outputs);
    for (let row = 0; row < count; row++) {
      for (let output = 0; output < outputs; output++) {
        let sum = at.bias[output]!;
        for (let column = 0; column < width; column++) sum += at.weight[output * width + column]! * inputs[row * width + column]!;
        made[row * outputs + output] = sum;
      }
    }
    return made;
  }
  /** Puts the gradient of the mean loss by the outputs in their place, and gives the loss. */
  function lost(made: Float64Array, wanted: Float64Array, count: number): number {
    let loss = 0;
    for (let row = 0; row < count; row++) {
      const one = made.subarray(row * outputs, (row + 1) * outputs);
      if (isLabel) {
        const largest = Math.max(...one);
        const sum = one.reduce((sum, value) => sum + Math.exp(value - largest), 0);
        loss += Math.log(sum) + largest - one[wanted[row]!]!;
        for (let output = 0; output < outputs; output++) one[output] = (Math.exp(one[output]! - largest) / sum - (output === wanted[row] ? 1 : 0)) / count;
      } else {
        const apart = one[0]! - wanted[row]!;
        loss += apart * apart;
        one[0] = (2 * apart) / count;
      }
    }
    return loss / count;
  }
  function move(kind: "weight" | "bias", gradient: Float64Array): void {
    gradient.forEach((value, number) => {
      speed[kind][number] = momentum * speed[kind][number]! + value;
      at[kind][number]! -= lr * speed[kind][number]!;
    });
  }
  return {
    backend: "plain",
    step: (inputs, wanted) => {
      const count = wanted.length;
      const made = reckoned(inputs, count);
      const loss = lost(made, wanted, count);
      const [ofWeight, ofBias] = [new Float64Array(at.weight.length), new Float64Array(outputs)];
      for (let row = 0; row < count; row++) {
        for (let output = 0; output < outputs; output++) {
          const by = made[row * outputs + output]!;
          ofBias[output]! += by;
          for (let column = 0; column < width; column++) ofWeight[output * width + column]! += by * inputs[row * width + column]!;
        }
      }
      move("weight", ofWeight);
      if (layer.bias) move("bias", ofBias);
      return Promise.resolve(loss);
    },
    outputs: (inputs, count) => Promise.resolve(Float32Array.from(reckoned(inputs, count))),
    weights: () => {
      const found: Tensors = new Map([[layer.weight, { shape: weight.shape, values: Float32Array.from(at.weight) }]]);
      if (layer.bias) found.set(layer.bias, { shape: [outputs], values: Float32Array.from(at.bias) });
      return Promise.resolve(found);
    },
    release: () => undefined,
  };
}
