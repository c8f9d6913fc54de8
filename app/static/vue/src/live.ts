// Runs in training: kept up to date by server-sent events, by asking now and then where those do not come through.
/** What is told of a repeat so far: accuracy and loss, or RMSE and R² where numbers are foretold. */
export const TOLD = ["acc", "loss", "rmse", "r2"] as const;
export type SoFar = Partial<Record<(typeof TOLD)[number], number[]>>;
export interface LiveRun {
  title?: string; // as people call it
  rounds: number;
  repeats: number;
  begun: Record<string, SoFar>;
}
export interface News extends SoFar {
  run: string;
  title?: string;
  ended?: boolean;
  repeat: string;
  from: number;
  rounds: number;
  repeats: number;
}

/** Put one event into `runs`; true when a run has ended. */
export function apply(runs: Record<string, LiveRun>, news: News): boolean {
  if (news.ended) {
    delete runs[news.run];
    return true;
  }
  const run = (runs[news.run] ??= { title: news.title, rounds: news.rounds, repeats: news.repeats, begun: {} });
  const repeat = (run.begun[news.repeat] ??= {});
  for (const key of TOLD) (repeat[key] ??= []).splice(news.from, Infinity, ...(news[key] ?? []));
  return false;
}

/** Rounds that a repeat has done. */
export const roundsOf = (repeat: SoFar): number => Math.max(0, ...TOLD.map((key) => repeat[key]?.length ?? 0));

/** Whether the run foretells numbers, as far as that can be seen. */
export const isNumber = (run: LiveRun): boolean => Object.values(run.begun).some((repeat) => repeat.rmse?.length);

/** Share of all rounds of all repeats that is done, and the mean of the latest accuracies, or RMSEs. */
export function progress(run: LiveRun): { done: number; accuracy: number; rmse?: number } {
  const rounds = Object.values(run.begun).reduce((sum, repeat) => sum + roundsOf(repeat), 0);
  const latest = (key: "acc" | "rmse"): number => {
    const found = Object.values(run.begun).flatMap((repeat) => repeat[key]?.slice(-1) ?? []);
    return found.reduce((sum, value) => sum + value, 0) / Math.max(1, found.length);
  };
  return { done: rounds / Math.max(1, run.rounds * run.repeats), accuracy: latest("acc"), ...(isNumber(run) ? { rmse: latest("rmse") } : {}) };
}

/** Mean accuracy after each round, or R² as far as it is above 0, over the repeats that have got so far. */
export function meanCurve(run: LiveRun): number[] {
  const curves = Object.values(run.begun).map((repeat) => repeat.acc?.length ? repeat.acc : (repeat.r2 ?? []).map((value) => Math.max(0, value)));
  return Array.from({ length: Math.max(0, ...curves.map((curve) => curve.length)) }, (_, round) => {
    const there = curves.filter((curve) => curve.length > round).map((curve) => curve[round] ?? 0);
    return there.reduce((sum, value) => sum + value, 0) / there.length;
  });
}

/** Keep `runs` up to date until the returned function is called; `ended` is called when a run has ended.
 *
 * It asks now and then; while something is in training it listens to the stream instead, if the site has a place.
 */
export function follow(runs: Record<string, LiveRun>, ended: () => void, pause = 5000): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;

  async function ask(): Promise<void> {
    try {
      const answer = await fetch("/api/v1/live");
      if (answer.ok) {
        const now = ((await answer.json()) as { runs: Record<string, LiveRun> }).runs;
        const gone = Object.keys(runs).filter((name) => !(name in now));
        for (const name of gone) delete runs[name];
        Object.assign(runs, now);
        if (gone.length) ended();
        if (Object.keys(now).length && !source) listen();
      }
    } catch {
      // The next try may get through.
    }
    if (source?.readyState !== EventSource.OPEN) timer = setTimeout(() => void ask(), pause);
  }
  function listen(): void {
    source = new EventSource("/api/v1/live/events");
    source.onopen = () => clearTimeout(timer);
    source.onmessage = (event) => {
      if (apply(runs, JSON.parse(event.data as string) as News)) ended();
      if (!Object.keys(runs).length) {
        source?.close();
        source = undefined;
        timer = setTimeout(() => void ask(), pause);
      }
    };
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return; // it comes back by itself
      clearTimeout(timer);
      timer = setTimeout(() => void ask(), pause);
    };
  }
  void ask();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}
