// The texts of the page's language: English is the key, /messages.json has the rest.
let catalogue: Record<string, string> = {};
let loading: Promise<void> | undefined;

async function load(): Promise<void> {
  if (document.documentElement.lang === "en") return;
  const answer = await fetch("/messages.json").catch(() => undefined); // a page in English is better than none
  if (answer?.ok) catalogue = (await answer.json()) as Record<string, string>;
}

export const loadTexts = (): Promise<void> => (loading ??= load());

/** A day, or a day and a time, as people write it where the page's language is spoken, by the clock of this device. */
const LANGUAGE = document.documentElement.lang || "en";
const DAY = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
export const day = (at: string): string => (at ? DAY.format(new Date(at)) : "");
export const moment = (at: string): string => MOMENT.format(new Date(at));

/** The text in the page's language; `{name}` stands for a value. */
/** A figure with three digits that count, of small ones fewer, at most six after the point. */
export const brief = (value: number): string => value.toFixed(value ? Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))) : 0);

export function t(text: string, values: Record<string, string | number> = {}): string {
  return (catalogue[text] ?? text).replace(/\{(\w+)\}/g, (_, key: string) => String(values[key] ?? ""));
}

/** Bytes as people count them. */
export const size = (bytes: number): string => (bytes < 1e5 ? `${brief(bytes / 1e3)} kB` : `${brief(bytes / 1e6)} MB`);
