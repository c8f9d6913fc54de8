// What a comparison of two runs could show, before either is trained.
import type { Disagreement } from "./api";

export interface Evidence {
  scenes: number;
  points: number; // difference of accuracy, in points, that is found in four of five cases
}

/** From the scenes that each fold judges, and the share of examples on which two runs disagree; see utils/comparison.py. */
export function evidence(scenes: number[] | null, folds: number, of: Disagreement | null): Evidence | undefined {
  const judged = (scenes ?? []).slice(0, folds).reduce((sum, count) => sum + count, 0);
  return judged && of ? { scenes: judged, points: 280 * Math.sqrt(of.share / judged) } : undefined;
}
