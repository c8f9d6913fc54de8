// What a network is given of examples, as utils/tasks/_call.py has it, and what is made of what it says.
import type { Described } from "../calls-api";

export type Format = Described["format"];

/** Examples as they are kept: pixels (n, channels, side, side), values in their units (n, fields), or features (n, features); and answers (n,). */
export interface Data {
  inputs: Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  answers: Float64Array<ArrayBuffer>;
  features: number; // how many a frozen backbone made of each; 0: they are not features
}

const OPPONENT = [[0.25, 0.5, 0.25], [-3, 0, 3], [-1.5, 3, -1.5]] as const;
const MEAN = [0.485, 0.456, 0.406] as const;
const SPREAD = [0.229, 0.224, 0.225] as const;

/** The shape in which a network gets one example. */
export function shapeOf({ input }: Format, features = 0): number[] {
  if (features) return [features];
  return input.kind === "picture" ? [input.channels, input.side, input.side] : [input.fields.length];
}

/** What a network is given of the examples at these places, one after the other. */
export function given(data: Data, format: Format, places: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const width = shapeOf(format, data.features).reduce((product, side) => product * side, 1);
  const whole = new Float32Array(places.length * width);
  for (let number = 0; number < places.length; number++) {
    const one = data.inputs.subarray(places[number]! * width, (places[number]! + 1) * width);
    const into = whole.subarray(number * width, (number + 1) * width);
    if (data.features) into.set(one);
    else if (format.input.kind === "values") format.input.fields.forEach(({ low, high }, field) => (into[field] = (2 * (one[field]! - low)) / (high - low) - 1));
    else pixels(one, into, format.input);
  }
  return whole;
}

function pixels(one: ArrayLike<number>, into: Float32Array, input: Extract<Format["input"], { kind: "picture" }>): void {
  const area = input.side * input.side;
  for (let at = 0; at < into.length; at++) into[at] = one[at]! / 255;
  if (input.channels === 1) return;
  for (let at = 0; at < area; at++) {
    const colours = [into[at]!, into[area + at]!, into[2 * area + at]!] as const;
    for (let channel = 0; channel < 3; channel++) {
      const [red, green, blue] = OPPONENT[channel]!;
      into[channel * area + at] = input.colours === "opponent" ? red * colours[0] + green * colours[1] + blue * colours[2] : (colours[channel]! - MEAN[channel]!) / SPREAD[channel]!;
    }
  }
}

/** Answers as a loss is reckoned in: numbers of labels as they are, numbers scaled by their range. */
export const targets = ({ answer }: Format, answers: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> =>
  answer.kind === "label" ? answers : answers.map((value) => (2 * (value - answer.low)) / (answer.high - answer.low) - 1);

/** What outputs (n, labels) or (n, 1) say: the number of the likeliest label, or the number in its unit. */
export function said({ answer }: Format, outputs: Float32Array): number[] {
  if (answer.kind === "number") return Array.from(outputs, (value) => answer.low + ((value + 1) / 2) * (answer.high - answer.low));
  const labels = answer.labels.length;
  return Array.from({ length: outputs.length / labels }, (_, row) => {
    const one = outputs.subarray(row * labels, (row + 1) * labels);
    return one.indexOf(Math.max(...one));
  });
}
