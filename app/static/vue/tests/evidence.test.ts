import { expect, test } from "vitest";
import { evidence } from "../src/evidence";

const of = { share: 0.09, a: "a", b: "b", own: false };

test("four times the scenes show half the difference", () => {
  expect(evidence([100, 100, 100, 100], 1, of)?.points).toBeCloseTo(8.4); // 2.8 x sqrt(0.09 / 100), in points
  expect(evidence([100, 100, 100, 100], 4, of)).toEqual({ scenes: 400, points: expect.closeTo(4.2) as number });
});

test("where all is judged at once, folds change nothing", () => {
  expect(evidence([25], 5, of)?.scenes).toBe(25);
});

test("nothing is said where nothing is known", () => {
  expect(evidence(null, 5, of)).toBeUndefined();
  expect(evidence([10], 5, null)).toBeUndefined();
  expect(evidence([0], 5, of)).toBeUndefined();
});
