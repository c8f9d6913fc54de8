import { describe, expect, it } from "vitest";
import type { Outcome, OwnersNode } from "../src/nodes-api";
import { bars, figuresOf, grouped, inGroup, tellsSays } from "../src/owners-nodes";

const outcome = (seconds: number, more: Partial<Outcome> = {}): Outcome => ({ at: 0, node: "a", run: "r", round: 1, verb: "train", seconds, down: 10, up: 20, failure: "", ...more });
const node = (name: string, state: OwnersNode["state"], online: boolean | null = null): OwnersNode => ({
  id: 1, name, owner: "", mine: false, state, online, online_since: null, version: "", about: "", fingerprint: "", tells: { counts: true, judges: true }, created: "", changed: "", released: true, rounds: [],
});

describe("nodes", () => {
  it("stand in groups, those that can be chosen first", () => {
    const all = [node("d", "left"), node("c", "joined", true), node("a", "joined", false), node("b", "joined", null), node("e", "waiting"), node("f", "revoked")];
    expect(inGroup(all, "joined").map((one) => one.name)).toEqual(["c", "a", "b"]);
    expect(inGroup(all, "waiting").map((one) => one.name)).toEqual(["e"]);
    expect(inGroup(all, "gone").map((one) => one.name)).toEqual(["d", "f"]);
  });
  it("are told by what trained, and all that travelled", () => {
    const rounds = [outcome(0.1, { verb: "describe" }), outcome(9), outcome(3), outcome(99, { failure: "gone", up: 0 }), outcome(5)];
    expect(figuresOf(rounds)).toEqual({ asked: 5, failed: 1, seconds: 5, down: 50, up: 80 });
    expect(figuresOf([])).toEqual({ asked: 0, failed: 0, seconds: undefined, down: 0, up: 0 });
  });
  it("are drawn with the newest round at the right end, and no bar out of sight", () => {
    const drawn = bars([outcome(0), outcome(10), outcome(5, { failure: "gone" })], 4);
    expect(drawn).toEqual([{ x: 1, height: 0.12, failed: false }, { x: 2, height: 1, failed: false }, { x: 3, height: 0.5, failed: true }]);
    expect(bars([outcome(0)], 1)).toEqual([{ x: 0, height: 0.12, failed: false }]);
    expect(bars(Array.from({ length: 9 }, () => outcome(1)), 4).map((bar) => bar.x)).toEqual([0, 1, 2, 3]);
  });
  it("have keys that people can compare, and say what they tell", () => {
    expect(grouped("43c5f1ed05")).toBe("43c5 f1ed 05");
    const said = [[true, true], [true, false], [false, true], [false, false]].map(([counts, judges]) => tellsSays({ counts: counts!, judges: judges! }));
    expect(new Set(said).size).toBe(4);
  });
});
