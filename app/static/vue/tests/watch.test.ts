import { describe, expect, it, vi } from "vitest";
import type { Job, JobState } from "../src/api";
import { duration, ended, keepAsking, soFar } from "../src/watch";

const job = (id: number, state: JobState, mine = true): Job => ({ id, state, mine, name: `job ${id}` }) as Job;

describe("trainings while one watches", () => {
  it("are told of once, when they come to an end, and only one's own", () => {
    const before = new Map<number, JobState>([[1, "running"], [2, "queued"], [3, "done"], [4, "running"], [5, "running"]]);
    const now = [job(1, "done"), job(2, "running"), job(3, "done"), job(4, "failed", false), job(5, "failed"), job(6, "done")];
    expect(ended(before, now).map((one) => one.id)).toEqual([1, 5]);
  });
  it("have the mean curve of the repeats that have got so far", () => {
    const curve = soFar({ a: { acc: [0.5, 0.7], loss: [1, 0.5] }, b: { acc: [0.7], loss: [2] } });
    const [accuracy, loss] = curve.series;
    expect(curve.costs.round).toEqual([1, 2]);
    expect(accuracy?.mean.map((value) => value.toFixed(2))).toEqual(["0.60", "0.70"]);
    expect([loss?.p10, loss?.p90]).toEqual([[1, 0.5], [2, 0.5]]);
    expect(soFar({}).series[0]?.mean).toEqual([]);
    expect(soFar({ a: { rmse: [60, 55], r2: [0.1, 0.4] } }).series.map((one) => [one.name, one.mean])).toEqual([["rmse", [60, 55]], ["r2", [0.1, 0.4]]]);
  });
  it("say how long it takes as people do", () => {
    expect([12.4, 600, 7200].map(duration)).toEqual(["12 s", "10 min", "2.0 h"]);
  });
  it("are asked for again after a failure, and no more once the page is left", async () => {
    vi.useFakeTimers();
    const ask = vi.fn().mockRejectedValueOnce(new Error("away")).mockResolvedValue(undefined);
    const stop = keepAsking(() => ask().catch(() => undefined), 100);
    await vi.advanceTimersByTimeAsync(250);
    expect(ask.mock.calls.length).toBe(3);
    stop();
    await vi.advanceTimersByTimeAsync(500);
    expect(ask.mock.calls.length).toBe(3);
    vi.useRealTimers();
  });
});
