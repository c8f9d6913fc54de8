// What clip and noise bound: epsilon of updates that were sent.
import { normOf, type Tensors } from "./tensors";
import { noise as normal } from "./chance";

export const DELTA = 1e-5;
const HARDLY = 1e-6; // less noise is none, as utils/participant/ledger.py has it

/** What is sent of a difference D: D min(1, clip / |D|) + N(0, (noise clip)²) in every number (utils/federated/links/local_dp.py). */
export function covered(difference: Tensors, clip: number, noise: number): Tensors {
  if (!clip) return difference;
  const factor = Math.min(1, clip / (normOf(difference) || 1));
  const drawn = normal();
  return new Map(
    [...difference].map(([name, { shape, values }]) => [
      name,
      { shape, values: values.map((value) => value * factor + (noise ? noise * clip * drawn.next().value : 0)) },
    ]),
  );
}

/**
 * Epsilon at DELTA of updates sent with (clip, noise), neighbours differing in one update by any other; Infinity where one had
 * no noise. Two clipped updates lie at most two clips apart, so one is a Gaussian mechanism of mu = 2 / noise, and together
 * they are one whose mu² is the sum; epsilon follows exactly (Balle and Wang 2018, theorem 8; Dong, Roth and Su 2022, corollary 3.3).
 */
export function epsilon(sent: readonly { clip: number; noise: number }[]): number {
  if (!sent.length) return 0;
  if (sent.some(({ clip, noise }) => !clip || noise < HARDLY)) return Infinity;
  const mu = Math.sqrt(sent.reduce((sum, { noise }) => sum + 4 / noise ** 2, 0));
  if (deltaAt(0, mu) <= DELTA) return 0;
  let [low, high] = [0, 1];
  while (deltaAt(high, mu) > DELTA) high *= 2;
  for (let turn = 0; turn < 100; turn++) {
    const middle = (low + high) / 2;
    if (deltaAt(middle, mu) > DELTA) low = middle;
    else high = middle;
  }
  return high;
}

const deltaAt = (epsilon: number, mu: number): number => upper(epsilon / mu - mu / 2) - Math.exp(epsilon + logUpper(epsilon / mu + mu / 2));
const upper = (x: number): number => Math.exp(logUpper(x));

/** Logarithm of the chance that a standard normal number is above x, to some 1e-12 of it. */
function logUpper(x: number): number {
  if (x < 3) return Math.log(x < 0 ? 1 - Math.exp(logUpper(-x)) : 0.5 - series(x));
  let fraction = x; // its continued fraction, from the end
  for (let number = 200; number > 0; number--) fraction = x + number / fraction;
  return -(x * x) / 2 - Math.log(Math.sqrt(2 * Math.PI) * fraction);
}

/** The chance to lie between 0 and x. */
function series(x: number): number {
  let [term, sum] = [x, x];
  for (let number = 3; Math.abs(term) > 1e-17; number += 2) sum += term *= (x * x) / number;
  return (sum * Math.exp(-(x * x) / 2)) / Math.sqrt(2 * Math.PI);
}
