// Trainings while one watches: asked for again and again, told when they end.
import type { Curves, Job, JobState, Series } from "./api";
import { roundsOf, TOLD, type SoFar } from "./live";
import { t } from "./texts";

/** Call `ask` now and then until the returned function is called; at once when the page comes back into sight. */
export function keepAsking(ask: () => Promise<void>, pause = 1500): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking = false;
  let over = false;

  async function turn(): Promise<void> {
    if (asking || over) return;
    asking = true;
    clearTimeout(timer);
    try {
      await ask();
    } finally {
      asking = false;
      if (!over) timer = setTimeout(() => void turn(), document.hidden ? 10 * pause : pause);
    }
  }
  const seen = (): void => {
    if (!document.hidden) void turn();
  };
  document.addEventListener("visibilitychange", seen);
  void turn();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}

export const ATEND: readonly JobState[] = ["done", "failed", "stopped", "paused"];

export const stateName = (state: JobState): string =>
  ({ held: t("held"), queued: t("queued"), running: t("running"), paused: t("paused"), stopped: t("stopped"), done: t("done"), failed: t("failed") })[state];

/** One's own trainings that have come to an end since `before`. */
export const ended = (before: ReadonlyMap<number, JobState>, now: readonly Job[]): Job[] =>
  now.filter((job) => job.mine && ATEND.includes(job.state) && ["queued", "running"].includes(before.get(job.id) ?? ""));

/** Tell of an end, outside the page too if the person allowed that. */
export function notify(job: Job): string {
  const text = t("{name}: {state}", { name: job.name, state: stateName(job.state) });
  if (typeof Notification !== "undefined" && Notification.permission === "granted") new Notification("SkyFed", { body: text, tag: `job-${job.id}` });
  return text;
}

/** Seconds as people say them. */
export function duration(seconds: number): string {
  if (seconds < 90) return t("{count} s", { count: Math.round(seconds) });
  if (seconds < 5400) return t("{count} min", { count: Math.round(seconds / 60) });
  return t("{count} h", { count: (seconds / 3600).toFixed(1) });
}

const SERIES = {
  acc: { name: "accuracy", unit: "fraction", better: "higher" },
  loss: { name: "loss", unit: "nats", better: "lower" },
  rmse: { name: "rmse", unit: "", better: "lower" },
  r2: { name: "r2", unit: "", better: "higher" },
} as const;

/** Mean and spread over the repeats that have got so far, on the axis of rounds. */
export function soFar(curves: Record<string, SoFar>): Curves {
  const all = Object.values(curves);
  const rounds = Math.max(0, ...all.map(roundsOf));
  const numbers = Array.from({ length: rounds }, (_, round) => round + 1);
  const at = (key: keyof SoFar, round: number): number[] => all.map((curve) => curve[key]?.[round - 1]).filter((value) => value !== undefined);
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const drawn = (how: (values: number[]) => number, key: keyof SoFar): number[] => numbers.map((round) => how(at(key, round)));
  const low = (values: number[]): number => Math.min(...values);
  const high = (values: number[]): number => Math.max(...values);
  return {
    costs: { round: numbers, passes: numbers, steps: numbers, examples: numbers, seconds: numbers, bytes: numbers },
    series: (numbers.length ? TOLD.filter((key) => all.some((curve) => curve[key]?.length)) : TOLD.slice(0, 2)).map((key): Series => ({ ...SERIES[key], mean: drawn(mean, key), p10: drawn(low, key), p90: drawn(high, key) })),
  };
}
