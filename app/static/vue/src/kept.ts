// What was asked and answered on a page in this tab, on this device alone, so that Back and another language find it again.
import { clear, createStore, delMany, entries, set } from "idb-keyval";
import { whose } from "./session";

interface Entry<T> {
  whose: string;
  at: number;
  what: T;
}

const MOST = 30;
const DAY = 86_400_000;
const TAB = "tab";
let opened: ReturnType<typeof createStore> | undefined;
const store = (): ReturnType<typeof createStore> => (opened ??= createStore("skyfed", "answers"));
/** No other tab reads it, and no later one: what a tab keeps is named after a number of its own. */
const tab = (): string => {
  const known = sessionStorage.getItem(TAB) ?? `${Date.now()}-${Math.random()}`;
  sessionStorage.setItem(TAB, known);
  return known;
};
const here = (): string => `${tab()} ${location.pathname} `;
const keyOf = (id: number): string => here() + String(id).padStart(6, "0");

/** Where a browser keeps nothing, nothing is found again; that is no fault to tell of. */
const quietly = async <T>(ask: () => Promise<T>, otherwise: T): Promise<T> => ask().catch(() => otherwise);

/** Keep something under its number. */
export const remember = <T>(id: number, what: T): Promise<void> =>
  quietly(() => set(keyOf(id), { whose: whose(), at: Date.now(), what } satisfies Entry<T>, store()), undefined);

/** What this page has kept in this tab for whoever is here, by number, oldest first; what is old or of somebody else goes. */
export const recall = <T>(): Promise<[number, T][]> =>
  quietly(async () => {
    const all = await entries<string, Entry<T>>(store());
    const mine = all.filter(([key, one]) => key.startsWith(here()) && ["", whose()].includes(one.whose)).slice(-MOST);
    const others = all.filter(([key, one]) => key.startsWith(here()) || one.at < Date.now() - DAY).filter((one) => !mine.includes(one));
    await delMany(others.map(([key]) => key), store());
    return mine.map(([key, one]): [number, T] => [Number(key.split(" ").at(-1)), one.what]);
  }, []);

/** Forget all that was kept here: somebody leaves. */
export const forgetKept = (): Promise<void> => quietly(() => clear(store()), undefined);
