// How examples come in: each cleaned, none twice, kept whole or not at all, and told what became of each.
import { Refused, saysWhy } from "../device/decoding";
import { t } from "../texts";
import { isSame, lookOf } from "./alike";
import { cleaned, type Shape } from "./cleaning";
import type { Incoming, NewRow, Unused } from "./importing";
import { alter, examplesOf, forget, keep, type Example } from "./store";

/** What became of what was added. */
export interface Added {
  kept: number[]; // their numbers
  again: number; // were there already, and stay as they are
  said: Example[]; // were there without an answer, which this gave: as they were
  unused: Unused[];
  full: boolean; // the browser has no more room
}

export interface Adding {
  task: number;
  originals: boolean; // whether the files are kept too
  progress: (done: number) => void;
  stopped: () => boolean;
}

const AT_ONCE = 20; // kept together
export const isFull = (fault: unknown): boolean => (fault as Error).name === "QuotaExceededError" || /quota/i.test((fault as Error).message);
const breath = (): Promise<void> => new Promise((done) => setTimeout(done)); // the page stays alive
/** One tab adds at a time, so that none misses what the other has just added. */
const alone = <T>(task: number, work: () => Promise<T>): Promise<T> => (navigator.locks ? navigator.locks.request(`skyfed-examples-${task}`, work) : work()) as Promise<T>;
const nothing = (): Added => ({ kept: [], again: 0, said: [], unused: [], full: false });

export async function addPictures(pictures: Incoming[], shape: Shape, { task, originals, progress, stopped }: Adding): Promise<Added> {
  return alone(task, async () => {
    const added = nothing();
    const known = new Map<string, Pick<Example, "id" | "look" | "pixels" | "answer">[]>();
    const learn = (one: Pick<Example, "id" | "look" | "pixels" | "answer">): unknown => known.set(one.look!, [...(known.get(one.look!) ?? []), one]);
    (await examplesOf(task)).forEach(learn);
    let waiting: Omit<Example, "id" | "task">[] = [];
    const put = async (): Promise<void> => {
      const some = waiting;
      waiting = [];
      if (!some.length) return;
      const kept = await keep(task, some);
      kept.forEach(learn);
      added.kept.push(...kept.map((one) => one.id));
    };
    try {
      for (const [at, { name, answer, open }] of pictures.entries()) {
        if (stopped()) break;
        try {
          const file = await open();
          const { pixels, picture } = await cleaned(file, shape);
          const look = lookOf(pixels, shape);
          const isThis = (one: { pixels?: Uint8Array; look?: string }): boolean => isSame({ pixels, look }, { pixels: one.pixels!, look: one.look! });
          if (waiting.some(isThis)) await put();
          const same = known.get(look)?.find(isThis);
          if (same && same.answer === null && answer !== null) {
            added.said.push(...(await alter(task, [same.id], { answer })));
            same.answer = answer;
          } else if (same && answer !== null && same.answer !== answer) {
            added.unused.push({ what: name, why: t("is here already, with another answer") });
          } else if (same) added.again++;
          else waiting.push({ at: Date.now(), name, answer, pixels, picture, look, ...(originals ? { original: new Blob([await file.arrayBuffer()], { type: file.type }) } : {}) });
        } catch (fault) {
          if (isFull(fault)) throw fault;
          added.unused.push({ what: name, why: fault instanceof Refused ? saysWhy(fault.reason) : (fault as Error).message });
        }
        if (waiting.length >= AT_ONCE) await put();
        progress(at + 1);
        await breath();
      }
      await put();
    } catch (fault) {
      if (!isFull(fault)) throw fault;
      added.full = true;
    }
    return added;
  });
}

/** Rows are kept all, or none where the browser has no room. */
export async function addRows(rows: NewRow[], task: number): Promise<Added> {
  return alone(task, async () => {
    const added = nothing();
    const keyOf = ({ values, answer }: Pick<Example, "values" | "answer">): string => [...values!, answer].join(" ");
    const known = new Set((await examplesOf(task)).map(keyOf));
    const fresh = rows.filter((row) => !known.has(keyOf(row)) && known.add(keyOf(row)));
    added.again = rows.length - fresh.length;
    try {
      const kept = fresh.length ? await keep(task, fresh.map((row) => ({ ...row, at: Date.now() }))) : [];
      added.kept = kept.map((one) => one.id);
    } catch (fault) {
      if (!isFull(fault)) throw fault;
      added.full = true;
    }
    return added;
  });
}

/** As it was before something was added. */
export async function takeBack(task: number, { kept, said }: Pick<Added, "kept" | "said">): Promise<void> {
  await forget(task, kept);
  for (const one of said) await alter(task, [one.id], { answer: one.answer });
}
