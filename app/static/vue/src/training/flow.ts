// Where networks of more than one layer are trained and asked: TensorFlow.js, fetched by the worker when it is first needed.
import {
  add, env, keep, logSoftmax, mean, memory, mul, oneHot, reshape, setBackend, squaredDifference, getBackend, sub, sum, tensor, tensor1d, tidy,
  transpose, valueAndGrads, registerGradient, variable, type GradConfig, type Tensor, type Variable,
} from "@tensorflow/tfjs-core";
import { addGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Add_grad";
import { avgPoolGradConfig } from "@tensorflow/tfjs-core/dist/gradients/AvgPool_grad";
import { batchMatMulGradConfig } from "@tensorflow/tfjs-core/dist/gradients/BatchMatMul_grad";
import { castGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Cast_grad";
import { conv2DGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Conv2D_grad";
import { identityGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Identity_grad";
import { logSoftmaxGradConfig } from "@tensorflow/tfjs-core/dist/gradients/LogSoftmax_grad";
import { maxGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Max_grad";
import { maxPoolGradConfig } from "@tensorflow/tfjs-core/dist/gradients/MaxPool_grad";
import { meanGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Mean_grad";
import { multiplyGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Multiply_grad";
import { padV2GradConfig } from "@tensorflow/tfjs-core/dist/gradients/PadV2_grad";
import { divGradConfig } from "@tensorflow/tfjs-core/dist/gradients/RealDiv_grad";
import { reluGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Relu_grad";
import { reshapeGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Reshape_grad";
import { sigmoidGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Sigmoid_grad";
import { squaredDifferenceGradConfig } from "@tensorflow/tfjs-core/dist/gradients/SquaredDifference_grad";
import { subGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Sub_grad";
import { sumGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Sum_grad";
import { tanhGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Tanh_grad";
import { transposeGradConfig } from "@tensorflow/tfjs-core/dist/gradients/Transpose_grad";
import { seeded } from "./chance";
import { shapeOf } from "./examples";
import { outputs, placed, taken, type How, type Weights } from "./network";
import type { Backend, Place, Work } from "./work";

const GRADIENTS: GradConfig[] = [
  addGradConfig, avgPoolGradConfig, batchMatMulGradConfig, castGradConfig, conv2DGradConfig, identityGradConfig, logSoftmaxGradConfig, maxGradConfig,
  maxPoolGradConfig, meanGradConfig, multiplyGradConfig, padV2GradConfig, divGradConfig, reluGradConfig, reshapeGradConfig, sigmoidGradConfig,
  squaredDifferenceGradConfig, subGradConfig, sumGradConfig, tanhGradConfig, transposeGradConfig,
];
for (const one of GRADIENTS) registerGradient(one);

/** How many tensors there are: for tests, which hold that none is left over. */
export const tensors = (): number => memory().numTensors;

/** Begin a backend. Raises an Error where the browser has given another than was asked for. */
export async function begin(backend: Backend): Promise<void> {
  if (!(await setBackend(backend).catch(() => false)) || getBackend() !== backend) throw new Error(`no ${backend}`);
  if (backend === "webgl" && !env().getBool("WEBGL_RENDER_FLOAT32_CAPABLE")) throw new Error("webgl in half precision"); // it would not learn what others do
}

/** The work's network on the backend that has begun. */
export function place(work: Work): Place {
  const { net, format } = work;
  const backend = getBackend() as Backend;
  const shape = shapeOf(format, work.data.features);
  const names = [...net.weights.keys()];
  const how: How = { own: backend === "wasm" };
  const hyper = work.kind === "train" ? work.hyper : { lr: 0, momentum: 0 };
  const drawing = seeded(work.kind === "train" ? work.seed ^ 0x5bd1e995 : 0);
  const weights: Map<string, Variable> = new Map();
  const speeds: Variable[] = [];
  for (const [name, one] of placed(net.weights)) weights.set(name, variable(one)), one.dispose();
  const seen = (inputs: Float32Array<ArrayBuffer>, count: number): Tensor => {
    const all = tensor(inputs, [count, ...shape]);
    return shape.length === 3 ? transpose(all, [0, 2, 3, 1]) : all;
  };
  const loss = (made: Tensor, wanted: Float64Array<ArrayBuffer>): Tensor => {
    if (format.answer.kind === "number") return mean(squaredDifference(reshape(made, [wanted.length]), tensor1d(Float32Array.from(wanted))));
    const right = oneHot(tensor1d(Int32Array.from(wanted), "int32"), format.answer.labels.length);
    return mul(mean(sum(mul(logSoftmax(made), right), 1)), -1);
  };
  return {
    backend,
    async step(inputs, wanted) {
      if (!speeds.length) for (const name of names) speeds.push(tidy(() => variable(mul(weights.get(name)!, 0))));
      const training: How = { ...how, draw: () => Math.floor(drawing() * 2 ** 31) };
      const lost = tidy(() => {
        const found = valueAndGrads((...all: Tensor[]) => {
          const now: Weights = new Map(names.map((name, number) => [name, all[number]!]));
          // Of a single example dropout drops nothing, as in utils/federated/client.py.
          return loss(outputs(net.steps, now, seen(inputs, wanted.length), wanted.length > 1 ? training : how), wanted) as never;
        })(names.map((name) => weights.get(name)!));
        names.forEach((name, number) => {
          const speed = speeds[number]!;
          speed.assign(add(mul(speed, hyper.momentum), found.grads[number]!));
          weights.get(name)!.assign(sub(weights.get(name)!, mul(speed, hyper.lr)));
        });
        return keep(found.value as Tensor);
      });
      const value = (await lost.data())[0]!;
      lost.dispose();
      return value;
    },
    async outputs(inputs, count) {
      const made = tidy(() => outputs(net.steps, weights, seen(inputs, count), how));
      const values = new Float32Array(await made.data());
      made.dispose();
      return values;
    },
    weights: () => taken(weights),
    release() {
      for (const one of [...weights.values(), ...speeds]) one.dispose();
    },
  };
}
