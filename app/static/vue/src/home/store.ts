// What a person who takes part has in this browser, and nowhere else: examples, trainings under way, and the ledger.
import { openDB, type DBSchema, type IDBPDatabase, type IDBPObjectStore } from "idb";

/** An example of a task. A picture is kept as its task needs it, `pixels` (channels, side, side) and the same as a PNG. */
export interface Example {
  id: number;
  task: number;
  at: number; // when it came, milliseconds
  name: string;
  answer: number | null; // number of the label, or the number; null: not said yet
  values?: number[]; // of rows, in their units and the order of the fields
  pixels?: Uint8Array<ArrayBuffer>;
  picture?: Blob;
  original?: Blob; // the file as it came, if that was wished
  look?: string; // by which pictures that look alike are found, see alike.ts
  features?: { of: string; values: Float32Array<ArrayBuffer> }; // what the frozen backbone `of` makes of it
}

/** A training and its update, from its beginning until the site has it for certain or it is thrown away. */
export interface Round {
  id: string; // UUID, by which the site knows it
  task: number;
  whose: string; // number of the account; empty: nobody was logged in
  begun: boolean; // whether the site may know it
  version: number;
  at: number;
  agreed: boolean; // whether the person has said that it shall be sent
  trained?: Trained;
}

export interface Trained {
  body: Blob; // safetensors; as it is sent once that is agreed
  samples: number;
  steps: number;
  loss: number;
  norm: number;
  clip: number;
  noise: number;
}

/** A line of the ledger; lines are only ever added. */
export interface Line {
  at: string; // by the clock of this device, in UTC
  event: "joined" | "left" | "asked" | "sending" | "outcome";
  task: number;
  name: string; // of the task
  whose: string;
  id?: string; // of the training
  [more: string]: string | number | boolean | null | undefined;
}

interface Home extends DBSchema {
  examples: { key: number; value: Example; indexes: { task: number } };
  rounds: { key: number; value: Round }; // one a task
  ledger: { key: number; value: Line };
}

/** Kept beside the database, so that one notices when the browser has cleared that. */
const COUNTED = "skyfed-at-home";
/** What is kept is on the disk before anybody is told that it is: a browser may be killed at any moment. */
const ONTO_DISK = { durability: "strict" } as const;
let opening: Promise<IDBPDatabase<Home>> | undefined;

function open(): Promise<IDBPDatabase<Home>> {
  opening ??= openDB<Home>("skyfed-at-home", 1, {
    upgrade(database) {
      database.createObjectStore("examples", { keyPath: "id", autoIncrement: true }).createIndex("task", "task");
      database.createObjectStore("rounds", { keyPath: "task" });
      database.createObjectStore("ledger", { autoIncrement: true });
    },
    blocking: (_now, _wanted, event) => (event.target as IDBDatabase).close(),
    terminated: () => (opening = undefined), // the browser has thrown it away
  }).catch((fault: unknown) => {
    opening = undefined;
    throw fault;
  });
  return opening;
}

/** Ask, once more where the connection was lost meanwhile. */
async function asking<T>(ask: (database: IDBPDatabase<Home>) => Promise<T>): Promise<T> {
  try {
    return await ask(await open());
  } catch (fault) {
    if ((fault as Error).name !== "InvalidStateError") throw fault;
    opening = undefined;
    return ask(await open());
  }
}

const channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("skyfed-at-home");
const listening = new Set<(task: number) => void>();
channel?.addEventListener("message", (event: MessageEvent<number>) => tell(event.data));
function tell(task: number): void {
  for (const listener of listening) listener(task);
}
function changed(task: number): void {
  tell(task);
  channel?.postMessage(task);
}

/** Call `listener` whenever something of a task changed here, in any tab, until the returned function is called. */
export function onChange(listener: (task: number) => void): () => void {
  listening.add(listener);
  return () => listening.delete(listener);
}

export const examplesOf = (task: number): Promise<Example[]> => asking((database) => database.getAllFromIndex("examples", "task", task));

type Examples = IDBPObjectStore<Home, ["examples"], "examples", "readwrite">;

/** Change examples, all of it or nothing. Raises QuotaExceededError where the browser has no room. */
async function changing<T>(work: (examples: Examples) => Promise<T>): Promise<T> {
  return asking(async (database) => {
    const change = database.transaction("examples", "readwrite", ONTO_DISK);
    const ended = change.done.then(() => undefined, (why: Error) => why);
    try {
      const made = await work(change.store);
      change.commit();
      const why = await ended;
      if (why) throw why;
      return made;
    } catch (fault) {
      try {
        change.abort();
      } catch {
        // it is over already
      }
      const why = await ended;
      throw why && why.name !== "AbortError" ? why : fault;
    }
  });
}

/** Keep examples, all or none of them; with their ids. Raises QuotaExceededError where the browser has no room. */
export async function keep(task: number, some: (Omit<Example, "id" | "task"> & { id?: number })[]): Promise<Example[]> {
  const kept = await changing(async (examples) => {
    const made: Example[] = [];
    for (const one of some) {
      const whole = { ...one, task } as Example;
      whole.id = await examples.put(whole);
      made.push(whole);
    }
    return made;
  });
  await count(task);
  changed(task);
  return kept;
}

/** Change examples that are still there, whatever another tab did meanwhile; as they were before. */
export async function alter(task: number, ids: Iterable<number>, to: Partial<Omit<Example, "id" | "task">>): Promise<Example[]> {
  const before = await changing(async (examples) => {
    const found: Example[] = [];
    for (const id of ids) {
      const one = await examples.get(id);
      if (!one) continue;
      found.push(one);
      await examples.put({ ...one, ...to });
    }
    return found;
  });
  changed(task);
  return before;
}

/** Keep what a frozen network makes of examples that are still there. It is reckoned from them, so nobody is told. */
export const keepFeatures = (some: Pick<Example, "id" | "features">[]): Promise<void> =>
  changing(async (examples) => {
    for (const { id, features } of some) {
      const one = await examples.get(id);
      if (one) await examples.put({ ...one, features });
    }
  });

export async function forget(task: number, ids: Iterable<number>): Promise<void> {
  await changing(async (examples) => {
    for (const id of ids) await examples.delete(id);
  });
  await count(task);
  changed(task);
}

/** How many examples there were when something was last changed here: more than there are now, the browser lost some. */
export const counted = (task: number): number => Number(JSON.parse(localStorage.getItem(COUNTED) ?? "{}")[task] ?? 0);
export async function count(task: number): Promise<void> {
  const now = await asking((database) => database.countFromIndex("examples", "task", task));
  localStorage.setItem(COUNTED, JSON.stringify({ ...JSON.parse(localStorage.getItem(COUNTED) ?? "{}"), [task]: now }));
}

export const roundOf = (task: number): Promise<Round | undefined> => asking((database) => database.get("rounds", task));
export async function keepRound(round: Round): Promise<void> {
  await asking(async (database) => {
    const change = database.transaction("rounds", "readwrite", ONTO_DISK);
    await Promise.all([change.store.put(round), change.done]);
  });
  changed(round.task);
}
export async function endRound(task: number): Promise<void> {
  await asking(async (database) => {
    const change = database.transaction("rounds", "readwrite", ONTO_DISK);
    await Promise.all([change.store.delete(task), change.done]);
  });
  changed(task);
}

/** Add a line to the ledger, and have it kept before anything else is done. */
export async function note(line: Omit<Line, "at">): Promise<void> {
  await asking(async (database) => {
    const change = database.transaction("ledger", "readwrite", ONTO_DISK);
    await Promise.all([change.store.add({ ...line, at: new Date().toISOString() } as Line), change.done]);
  });
  changed(line.task as number);
}
/** Have it kept that an update shall be sent, and in the ledger: both or neither. */
export async function agreed(round: Round, line: Omit<Line, "at">): Promise<void> {
  await asking(async (database) => {
    const change = database.transaction(["rounds", "ledger"], "readwrite", ONTO_DISK);
    const put = change.objectStore("rounds").put(round);
    await Promise.all([put, change.objectStore("ledger").add({ ...line, at: new Date().toISOString() } as Line), change.done]);
  });
  changed(round.task);
}
export const ledger = (): Promise<Line[]> => asking((database) => database.getAll("ledger"));

/** Forget all that is kept of a task but the ledger. */
export async function forgetTask(task: number): Promise<void> {
  await forget(task, (await examplesOf(task)).map((one) => one.id));
  await endRound(task);
}
