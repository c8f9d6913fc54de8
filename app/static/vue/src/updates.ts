// What clients sent, as the site tells it: cells of a map of clients by rounds, and figures of each client. Nothing here draws.
import type { Updates } from "./api";

export type Told = "cosine" | "norm" | "score";

/** A client's updates of the rounds of one column: the mean of what is told, null where none of it is finite. */
export interface Cell {
  row: number;
  column: number;
  value: number | null;
  sent: number;
  left: number; // out, by the strategy
}

export interface Grid {
  clients: number[]; // of the rows
  rounds: number; // of a column
  columns: number;
  cells: Cell[];
  unshown: number; // clients for which there is no room
}

const mean = (values: (number | null)[]): number | null => {
  const known = values.filter((one) => one !== null);
  return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
};
const last = (rounds: number[]): number => rounds.reduce((most, round) => Math.max(most, round), 0);
const clientsOf = (updates: Updates): number[] => [...new Set(updates.client)].sort((a, b) => a - b);

/** The map in at most so many rows and columns; where rounds are more, several share a column. */
export function gridOf(updates: Updates, told: Told, most: { rows: number; columns: number }): Grid {
  const all = clientsOf(updates);
  const clients = all.slice(0, most.rows);
  const rowOf = new Map(clients.map((client, row) => [client, row]));
  const rounds = Math.max(1, Math.ceil(last(updates.round) / most.columns));
  const columns = Math.ceil(last(updates.round) / rounds);
  const found = new Map<number, { values: (number | null)[]; left: number }>();
  updates.client.forEach((client, at) => {
    const row = rowOf.get(client);
    if (row === undefined) return;
    const place = row * columns + Math.floor((updates.round[at]! - 1) / rounds);
    const cell = found.get(place) ?? { values: [], left: 0 };
    cell.values.push(updates[told][at]!);
    cell.left += updates.kept[at] ? 0 : 1;
    found.set(place, cell);
  });
  const cells = [...found].map(([place, { values, left }]) => ({ row: Math.floor(place / columns), column: place % columns, value: mean(values), sent: values.length, left }));
  return { clients, rounds, columns, cells, unshown: all.length - clients.length };
}

export interface Scale {
  low: number;
  high: number;
  logarithmic: boolean;
  share: (value: number) => number; // of the way from low to high
}

/** Cosines from -1 to 1; else from 0 or the least to the most, in logarithms where these are far apart. */
export function scaleOf(told: Told, values: (number | null)[]): Scale {
  const known = values.filter((one) => one !== null);
  const [least, most] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
  const logarithmic = told !== "cosine" && least > 0 && most > 20 * least;
  const low = told === "cosine" ? -1 : !known.length ? 0 : logarithmic ? least : Math.min(0, least);
  const high = told === "cosine" ? 1 : known.length ? most : 1;
  const at = logarithmic ? Math.log : (value: number) => value;
  return { low, high, logarithmic, share: (value) => (high > low ? Math.min(1, Math.max(0, (at(value) - at(low)) / (at(high) - at(low)))) : 0.5) };
}

/** One client's part in the repeat; null where there is nothing finite. */
export interface Part {
  client: number;
  hostile: boolean;
  sent: number;
  norm: number | null;
  cosine: number | null;
  kept: number; // share of what it sent
}

export function partsOf(updates: Updates): Part[] {
  const hostile = new Set(updates.hostile);
  const rows = new Map<number, number[]>();
  updates.client.forEach((client, at) => (rows.get(client) ?? rows.set(client, []).get(client)!).push(at));
  return clientsOf(updates).map((client) => {
    const own = rows.get(client)!;
    return {
      client,
      hostile: hostile.has(client),
      sent: own.length,
      norm: mean(own.map((at) => updates.norm[at]!)),
      cosine: mean(own.map((at) => updates.cosine[at]!)),
      kept: own.filter((at) => updates.kept[at]).length / own.length,
    };
  });
}

/** What can be told: scores only where the strategy gave some. */
export const tellable = (updates: Updates): Told[] => ["cosine", "norm", ...(updates.score.some((one) => one !== null) ? (["score"] as const) : [])];
