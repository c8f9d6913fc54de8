// Which runs the table shows, in which order and groups.
import type { Run } from "./api";
import type { View } from "./view";

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value ?? null));

/** Runs that match the search (in what people call it, its file or a conf key or value, all words of it), sorted. */
export function shown(runs: Run[], view: Pick<View, "search" | "sort" | "descending">): Run[] {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = runs.filter((run) => {
    const all = `${run.name} ${run.title} ${run.error ?? ""} ${run.tags ?? ""} ${Object.entries(run.conf ?? {}).map(([k, v]) => `${k}=${text(v)}`).join(" ")}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const key = (view.sort === "name" ? "title" : view.sort) as keyof Run; // what one sees
  const sign = view.descending ? -1 : 1;
  return matching.sort((a, b) => {
    if (!!a.error !== !!b.error) return a.error ? 1 : -1;
    const [x, y] = [a[key], b[key]];
    const difference = typeof x === "number" && typeof y === "number" ? x - y : text(x).localeCompare(text(y), "en", { numeric: true });
    return sign * difference || a.name.localeCompare(b.name, "en", { numeric: true });
  });
}

/** The runs by the value of a conf key, in order of first appearance; one nameless group without a key. */
export function grouped(runs: Run[], key: string): [string, Run[]][] {
  if (!key) return [["", runs]];
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const value = text(run.conf?.[key]);
    groups.set(value, [...(groups.get(value) ?? []), run]);
  }
  return [...groups];
}

/** Conf keys in which the runs are not all alike. */
export function differingKeys(runs: Run[]): string[] {
  const readable = runs.filter((run) => !run.error);
  const keys = [...new Set(readable.flatMap((run) => Object.keys(run.conf)))].sort();
  return keys.filter((key) => new Set(readable.map((run) => text(run.conf[key]))).size > 1);
}
