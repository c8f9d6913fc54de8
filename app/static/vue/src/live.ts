// Runs in training: kept up to date by server-sent events, by asking now and then where those do not come through.
export interface LiveRun {
  title?: string; // as people call it
  rounds: number;
  repeats: number;
  begun: Record<string, { acc: number[]; loss: number[] }>;
}
export interface News {
  run: string;
  title?: string;
  ended?: boolean;
  repeat: string;
  from: number;
  rounds: number;
  repeats: number;
  acc: number[];
  loss: number[];
}

/** Put one event into `runs`; true when a run has ended. */
export function apply(runs: Record<string, LiveRun>, news: News): boolean {
  if (news.ended) {
    delete runs[news.run];
    return true;
  }
  const run = (runs[news.run] ??= { title: news.title, rounds: news.rounds, repeats: news.repeats, begun: {} });
  const repeat = (run.begun[news.repeat] ??= { acc: [], loss: [] });
  repeat.acc.splice(news.from, Infinity, ...news.acc);
  repeat.loss.splice(news.from, Infinity, ...news.loss);
  return false;
}

/** Share of all rounds of all repeats that is done, and the mean of the latest accuracies. */
export function progress(run: LiveRun): { done: number; accuracy: number } {
  const begun = Object.values(run.begun).filter((repeat) => repeat.acc.length);
  const rounds = begun.reduce((sum, repeat) => sum + repeat.acc.length, 0);
  const latest = begun.map((repeat) => repeat.acc.at(-1) ?? 0);
  return {
    done: rounds / Math.max(1, run.rounds * run.repeats),
    accuracy: latest.reduce((sum, value) => sum + value, 0) / Math.max(1, latest.length),
  };
}

/** Mean accuracy after each round over the repeats that have got so far. */
export function meanCurve(run: LiveRun): number[] {
  const curves = Object.values(run.begun).map((repeat) => repeat.acc);
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
