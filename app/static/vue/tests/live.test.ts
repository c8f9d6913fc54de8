import { describe, expect, it } from "vitest";
import { apply, meanCurve, progress, type LiveRun, type News } from "../src/live";

const news = (more: Partial<News>): News => ({ run: "conf_t", repeat: "fold0", from: 0, rounds: 4, repeats: 2, acc: [], loss: [], ...more });

describe("runs in training", () => {
  it("grow by what is new, even when a piece comes twice", () => {
    const runs: Record<string, LiveRun> = {};
    apply(runs, news({ acc: [0.5], loss: [1] }));
    apply(runs, news({ from: 1, acc: [0.6, 0.7], loss: [0.9, 0.8] }));
    apply(runs, news({ from: 1, acc: [0.6, 0.7], loss: [0.9, 0.8] }));
    apply(runs, news({ repeat: "fold1", acc: [0.3], loss: [2] }));
    expect(runs.conf_t?.begun.fold0?.acc).toEqual([0.5, 0.6, 0.7]);
    expect(progress(runs.conf_t!)).toEqual({ done: 0.5, accuracy: 0.5 });
    expect(meanCurve(runs.conf_t!)).toEqual([0.4, 0.6, 0.7]);
  });
  it("are called as people call them", () => {
    const runs: Record<string, LiveRun> = {};
    apply(runs, news({ run: "run-1", title: "晴天实验-1" }));
    expect(runs["run-1"]?.title).toBe("晴天实验-1");
  });
  it("go when they have ended", () => {
    const runs: Record<string, LiveRun> = {};
    apply(runs, news({ acc: [0.5], loss: [1] }));
    expect(apply(runs, news({ ended: true }))).toBe(true);
    expect(runs).toEqual({});
  });
  it("may foretell numbers, of which RMSE and R² are told", () => {
    const runs: Record<string, LiveRun> = {};
    apply(runs, news({ rmse: [60, 55], r2: [-0.1, 0.4] }));
    apply(runs, news({ repeat: "fold1", rmse: [57], r2: [0.3] }));
    expect(progress(runs.conf_t!)).toEqual({ done: 3 / 8, accuracy: 0, rmse: 56 });
    expect(meanCurve(runs.conf_t!)).toEqual([0.15, 0.4]);
  });
  it("have no accuracy to speak of before the first round", () => {
    expect(progress({ rounds: 3, repeats: 1, begun: {} })).toEqual({ done: 0, accuracy: 0 });
  });
});
