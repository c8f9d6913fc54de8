// A network as a task tells its steps (utils/nets/steps.py), on TensorFlow.js. Pictures are (n, height, width, channels) here.
import {
  add, avgPool, cast, concat, conv2d, customGrad, dropout as dropped, equal, matMul, max, maxPool, mean, mul, pad, relu, reshape, rsqrt, sigmoid,
  slice, stridedSlice, square, sub, sum, tanh, tensor, tidy, transpose, type Tensor as Tensor_, type Tensor1D, type Tensor2D, type Tensor4D,
} from "@tensorflow/tfjs-core";
import { sizeOf, type Tensors } from "./tensors";

type Tensor = Tensor_;

interface Windows {
  stride: number;
  padding: number;
}
interface Weighed {
  weight: string;
  bias: string | null;
}
export type Step =
  | ({ do: "conv2d" } & Weighed & Windows)
  | ({ do: "dense" } & Weighed)
  | { do: "group_norm"; weight: string; bias: string; groups: number }
  | { do: "batch_norm"; weight: string; bias: string; mean: string; variance: string }
  | ({ do: "max_pooling" | "average_pooling"; size: number } & Windows)
  | { do: "dropout"; rate: number }
  | { do: "sum"; of: [Step[], Step[]] }
  | { do: "global_max" | "global_average" | "flatten" | "relu" | "tanh" | "sigmoid" };

const EPSILON = 1e-5;

/** Weights by name, as they lie here: kernels (height, width, in, out), dense layers (in, out). */
export type Weights = Map<string, Tensor>;

/** From PyTorch's order of axes to this one, and back. */
const INWARDS: Record<number, number[]> = { 2: [1, 0], 4: [2, 3, 1, 0] };
const OUTWARDS: Record<number, number[]> = { 2: [1, 0], 4: [3, 2, 0, 1] };

export const placed = (tensors: Tensors): Weights =>
  new Map(
    [...tensors].map(([name, { shape, values }]) => [
      name,
      tidy(() => (INWARDS[shape.length] ? transpose(tensor(values, shape), INWARDS[shape.length]) : tensor(values, shape))),
    ]),
  );

export async function taken(weights: Weights): Promise<Tensors> {
  const found: Tensors = new Map();
  for (const [name, one] of weights) {
    const turned = tidy(() => (OUTWARDS[one.rank] ? transpose(one, OUTWARDS[one.rank]) : one.clone()));
    found.set(name, { shape: turned.shape.slice(), values: new Float32Array(await turned.data()) });
    turned.dispose();
  }
  return found;
}

/** How a network reckons: which gradient of convolutions (`own` where the backend has none), and `draw` for dropout in training. */
export interface How {
  own: boolean;
  draw?: () => number; // a seed
}

/** What the steps make of examples: (n, height, width, channels) or (n, values) to (n, outputs). `first`: they are no function of weights. */
export function outputs(steps: readonly Step[], weights: Weights, examples: Tensor, how: How, first = true): Tensor {
  let now = examples;
  for (const step of steps) {
    now = taking(step, weights, now, how, first);
    first &&= !("weight" in step || step.do === "sum");
  }
  return now;
}

function taking(step: Step, weights: Weights, x: Tensor, how: How, first: boolean): Tensor {
  const named = (name: string): Tensor => weights.get(name)!;
  switch (step.do) {
    case "conv2d": {
      const made = convolved(x as Tensor4D, named(step.weight) as Tensor4D, step, how.own, first);
      return step.bias ? add(made, named(step.bias)) : made;
    }
    case "dense": {
      const made = matMul(x as Tensor2D, named(step.weight) as Tensor2D);
      return step.bias ? add(made, named(step.bias)) : made;
    }
    case "group_norm":
      return groupNorm(x, named(step.weight) as Tensor1D, named(step.bias) as Tensor1D, step.groups);
    case "batch_norm": {
      const scale = mul(named(step.weight), rsqrt(add(named(step.variance), EPSILON)));
      return add(mul(x, scale), sub(named(step.bias), mul(named(step.mean), scale)));
    }
    case "max_pooling":
      return largest(padded(x as Tensor4D, step.padding), step.size, step.stride, how.own);
    case "average_pooling":
      return avgPool(padded(x as Tensor4D, step.padding), step.size, step.stride, "valid");
    case "global_max":
      return max(x, [1, 2]);
    case "global_average": {
      const [n, height, width, channels] = x.shape as [number, number, number, number];
      return mean(reshape(x, [n, height * width, channels]), 1);
    }
    case "flatten":
      return reshape(x.rank === 4 ? transpose(x, [0, 3, 1, 2]) : x, [x.shape[0]!, sizeOf(x.shape.slice(1))]);
    case "dropout":
      return how.draw && step.rate ? dropped(x, step.rate, undefined, how.draw()) : x;
    case "sum":
      return add(outputs(step.of[0], weights, x, how, first), outputs(step.of[1], weights, x, how, first));
    case "relu":
      return relu(x);
    case "tanh":
      return tanh(x);
    case "sigmoid":
      return sigmoid(x);
  }
}

const padded = (x: Tensor4D, by: number): Tensor4D => (by ? pad(x, [[0, 0], [by, by], [by, by], [0, 0]]) : x);

/** A convolution. TensorFlow.js has no gradient of its kernel on wasm (tensorflow/tfjs#8474), so there it is made of matrix products. */
function convolved(x: Tensor4D, kernel: Tensor4D, { stride, padding }: Windows, own: boolean, first: boolean): Tensor4D {
  const around: [[number, number], [number, number], [number, number], [number, number]] = [[0, 0], [padding, padding], [padding, padding], [0, 0]];
  const forward = (x: Tensor4D, kernel: Tensor4D): Tensor4D => conv2d(x, kernel, stride, padding ? around : "valid");
  if (!own) return forward(x, kernel);
  const ofKernel = (dy: Tensor4D, x: Tensor4D): Tensor4D => kernelGradient(x, dy, kernel.shape, stride, padding);
  if (first) {
    return customGrad((kernel, save) => {
      (save as (some: Tensor[]) => void)([x]);
      return { value: forward(x, kernel as Tensor4D), gradFunc: (dy, saved) => ofKernel(dy as Tensor4D, saved[0] as Tensor4D) };
    })(kernel) as Tensor4D;
  }
  return customGrad((x, kernel, save) => {
    (save as (some: Tensor[]) => void)([x as Tensor, kernel as Tensor]);
    return {
      value: forward(x as Tensor4D, kernel as Tensor4D),
      gradFunc: (dy, saved) => {
        const [x, kernel] = saved as [Tensor4D, Tensor4D];
        return [inputGradient(dy as Tensor4D, kernel, x.shape, stride, padding), ofKernel(dy as Tensor4D, x)];
      },
    };
  })(x, kernel) as Tensor4D;
}

type Shape4D = [number, number, number, number];

/** What one place of a window meets of `wide` as it moves by `stride` over so many places. */
function met(wide: Tensor4D, row: number, column: number, [n, height, width, channels]: Shape4D, stride: number): Tensor4D {
  if (stride === 1) return slice(wide, [0, row, column, 0], [n, height, width, channels]);
  return stridedSlice(wide, [0, row, column, 0], [n, row + (height - 1) * stride + 1, column + (width - 1) * stride + 1, channels], [1, stride, stride, 1]) as Tensor4D;
}

/** The gradient of a kernel: of each of its places what it met, side by side, and then one product. */
function kernelGradient(x: Tensor4D, dy: Tensor4D, shape: Shape4D, stride: number, padding: number): Tensor4D {
  const [n, height, width, to] = dy.shape;
  const [size, across, from] = shape;
  const wide = padded(x, padding);
  const all = Array.from({ length: size * across }, (_, place) => reshape(met(wide, Math.floor(place / across), place % across, [n, height, width, from], stride), [n * height * width, from]));
  const turned = transpose(reshape(dy, [n * height * width, to])); // plain products are the ones that are fast
  return reshape(transpose(matMul(turned as Tensor2D, all.length > 1 ? concat(all, 1) : all[0]!)), shape);
}

/** The largest of each window. On wasm TensorFlow.js takes the gradient of windows without a positive number to a wrong place, so there it is made here. */
function largest(x: Tensor4D, size: number, stride: number, own: boolean): Tensor4D {
  const forward = (x: Tensor4D): Tensor4D => maxPool(x, size, stride, "valid");
  if (!own) return forward(x);
  return customGrad((x, save) => {
    const most = forward(x as Tensor4D);
    (save as (some: Tensor[]) => void)([x as Tensor, most]);
    return {
      value: most,
      gradFunc: (dy, saved) => {
        const [x, most] = saved as [Tensor4D, Tensor4D];
        const [, height, width] = x.shape;
        let left = dy as Tensor; // of each window, until the first that is as large has it, as in PyTorch
        let made: Tensor | undefined;
        for (let place = 0; place < size * size; place++) {
          const [row, column] = [Math.floor(place / size), place % size];
          const given = mul(left, cast(equal(met(x, row, column, most.shape, stride), most), "float32")) as Tensor4D;
          const spread = stride === 1 ? given : apart(given, stride);
          const whole = trimmed(spread, [row, height - row - spread.shape[1]], [column, width - column - spread.shape[2]]);
          [left, made] = [sub(left, given), made ? add(made, whole) : whole];
        }
        return made!;
      },
    };
  })(x) as Tensor4D;
}

/** The gradient of the input: the kernel, turned and with its channels changed about, moved over the output's with zeros in between. */
function inputGradient(dy: Tensor4D, kernel: Tensor4D, shape: [number, number, number, number], stride: number, padding: number): Tensor4D {
  const [, height, width] = shape;
  const [size, across, from, to] = kernel.shape;
  const spread = stride === 1 ? dy : apart(dy, stride);
  const [top, left] = [size - 1 - padding, across - 1 - padding];
  const [bottom, right] = [height + size - 1 - top - spread.shape[1], width + across - 1 - left - spread.shape[2]];
  const flat = reshape(kernel, [size * across, from, to]);
  const order = Array.from({ length: size * across }, (_, place) => size * across - 1 - place);
  const turned = order.length > 1 ? concat(order.map((place) => slice(flat, [place, 0, 0], [1, from, to]))) : flat;
  const cut = trimmed(spread, [top, bottom], [left, right]);
  return conv2d(cut, reshape(transpose(turned, [0, 2, 1]), [size, across, to, from]), 1, "valid");
}

/** With so many zeros before and after; fewer than none are rows and columns cut off. */
function trimmed(x: Tensor4D, [top, bottom]: [number, number], [left, right]: [number, number]): Tensor4D {
  const least = (side: number): number => Math.max(0, side);
  const [n, height, width, channels] = x.shape;
  const cut =
    Math.min(top, bottom, left, right) < 0
      ? slice(x, [0, least(-top), least(-left), 0], [n, height - least(-top) - least(-bottom), width - least(-left) - least(-right), channels])
      : x;
  return pad(cut, [[0, 0], [least(top), least(bottom)], [least(left), least(right)], [0, 0]]);
}

/** With `stride` - 1 zeros between rows and columns, and after the last. */
function apart(dy: Tensor4D, stride: number): Tensor4D {
  const [n, height, width, channels] = dy.shape;
  const across = pad(reshape(dy, [n * height * width, 1, channels]), [[0, 0], [0, stride - 1], [0, 0]]);
  const down = pad(reshape(across, [n * height, 1, width * stride * channels]), [[0, 0], [0, stride - 1], [0, 0]]);
  return reshape(down, [n, height * stride, width * stride, channels]);
}

/** Group norm with its gradient in one (Wu and He 2018): sums are matrix products, which are the fast ones. */
function groupNorm(x: Tensor, weight: Tensor1D, bias: Tensor1D, groups: number): Tensor {
  const shape = x.shape.slice();
  const channels = shape.at(-1)!;
  const [n, places] = [shape[0]!, sizeOf(shape.slice(1, -1))];
  const each = channels / groups;
  const belongs = (): Tensor2D => tensor(Float32Array.from({ length: channels * groups }, (_, at) => (Math.floor(Math.floor(at / groups) / each) === at % groups ? 1 / (each * places) : 0)), [channels, groups]);
  const spreads = (): Tensor2D => tensor(Float32Array.from({ length: channels * groups }, (_, at) => (Math.floor((at % channels) / each) === Math.floor(at / channels) ? 1 : 0)), [groups, channels]);
  /** Of (n, places, channels) the mean of each group, for each channel: (n, 1, channels). */
  const means = (all: Tensor): Tensor => reshape(matMul(matMul(reshape(sum(all, 1), [n, channels]), belongs()), spreads()), [n, 1, channels]);
  return customGrad((x, weight, bias, save) => {
    const all = reshape(x as Tensor, [n, places, channels]);
    const less = sub(all, means(all));
    const inverse = rsqrt(add(means(square(less)), EPSILON));
    const normal = mul(less, inverse);
    (save as (some: Tensor[]) => void)([normal, inverse, weight as Tensor]);
    return {
      value: reshape(add(mul(normal, weight as Tensor), bias as Tensor), shape),
      gradFunc: (dy, saved) => {
        const [normal, inverse, weight] = saved as [Tensor, Tensor, Tensor];
        const given = reshape(dy as Tensor, [n, places, channels]);
        const weighed = mul(given, weight);
        const by = mul(given, normal);
        const inner = sub(sub(weighed, means(weighed)), mul(normal, means(mul(by, weight))));
        return [reshape(mul(inner, inverse), shape), sum(sum(by, 1), 0), sum(sum(given, 1), 0)];
      },
    };
  })(x, weight, bias) as Tensor;
}
