// A change of something that the site keeps: it waits, is done, or has failed for a reason and can be tried again.
import { reactive } from "vue";

export interface Change {
  state: "" | "waiting" | "done" | "failed";
  reason: string;
  again: () => void;
}

export interface Wish<T> {
  ask: () => Promise<T>;
  show?: () => void; // how it will be, before it is
  done?: (told: T) => void;
  back?: () => void; // how it was, after all
}

/** One thing that can be changed: how the latest try went, and a function that tries. */
export function changing(): { now: Change; attempt: <T>(wish: Wish<T>) => Promise<void> } {
  const now = reactive<Change>({ state: "", reason: "", again: () => undefined });
  let turns = 0;
  async function attempt<T>(wish: Wish<T>): Promise<void> {
    const turn = ++turns;
    Object.assign(now, { state: "waiting", reason: "", again: () => void attempt(wish) });
    wish.show?.();
    try {
      const told = await wish.ask();
      wish.done?.(told);
      if (turn === turns) now.state = "done";
    } catch (fault) {
      if (turn !== turns) return; // a later try tells how it is
      wish.back?.();
      Object.assign(now, { state: "failed", reason: (fault as Error).message });
    }
  }
  return { now, attempt };
}
