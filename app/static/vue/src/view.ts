// What one sees of the runs, kept in the address so that a link shows the same.
export const AXES = ["round", "passes", "steps", "examples", "seconds", "bytes"] as const;
export type Axis = (typeof AXES)[number];
const FORMER: Record<string, Axis> = { photos_seen: "examples", megabytes: "bytes" }; // in links made before

export interface View {
  study: string; // whose story the page tells; empty: the first
  runs: string[] | null; // null: the ones shown at first
  axis: Axis;
  y: [string, string]; // the series of the two charts
  smooth: number; // 0 none, up to 0.95
  band: boolean;
  logX: boolean;
  logY: boolean;
  search: string;
  sort: string;
  descending: boolean;
  group: string;
  differing: boolean;
  pair: [string, string] | null;
}

export const PLAIN: View = {
  study: "",
  runs: null,
  axis: "round",
  y: ["accuracy", "loss"],
  smooth: 0,
  band: true,
  logX: false,
  logY: false,
  search: "",
  sort: "name",
  descending: false,
  group: "",
  differing: false,
  pair: null,
};

export function readView(address: string): View {
  const asked = new URLSearchParams(address);
  const smooth = Number(asked.get("smooth"));
  const x = asked.get("x") ?? "";
  const y = (asked.get("y")?.split(",") ?? []).map((name) => (/^[\w./ -]{1,60}$/.test(name) ? name : ""));
  const pair = asked.get("pair")?.split(",") ?? [];
  return {
    study: /^\w{0,60}$/.test(asked.get("study") ?? "") ? (asked.get("study") ?? "") : "",
    runs: asked.has("runs") ? (asked.get("runs") ?? "").split(",").filter(Boolean) : null,
    axis: AXES.find((axis) => axis === (FORMER[x] ?? x)) ?? PLAIN.axis,
    y: [y[0] || PLAIN.y[0], y[1] || PLAIN.y[1]],
    smooth: smooth > 0 && smooth <= 0.95 ? smooth : 0,
    band: asked.get("band") !== "no",
    logX: asked.get("logx") === "yes",
    logY: asked.get("logy") === "yes",
    search: asked.get("q") ?? "",
    sort: asked.get("sort") ?? PLAIN.sort,
    descending: asked.get("order") === "down",
    group: asked.get("group") ?? "",
    differing: asked.get("differing") === "yes",
    pair: pair[0] && pair[1] ? [pair[0], pair[1]] : null,
  };
}

export function writeView(view: View): string {
  const said = new URLSearchParams();
  if (view.study) said.set("study", view.study);
  if (view.runs) said.set("runs", view.runs.join(","));
  if (view.axis !== PLAIN.axis) said.set("x", view.axis);
  if (view.y.join() !== PLAIN.y.join()) said.set("y", view.y.join(","));
  if (view.smooth) said.set("smooth", String(view.smooth));
  if (!view.band) said.set("band", "no");
  if (view.logX) said.set("logx", "yes");
  if (view.logY) said.set("logy", "yes");
  if (view.search) said.set("q", view.search);
  if (view.sort !== PLAIN.sort) said.set("sort", view.sort);
  if (view.descending) said.set("order", "down");
  if (view.group) said.set("group", view.group);
  if (view.differing) said.set("differing", "yes");
  if (view.pair) said.set("pair", view.pair.join(","));
  const text = said.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  return text ? `?${text}` : "";
}

/** Whether there is a value: series may have gaps. */
export const isThere = (value: number | null | undefined): value is number => typeof value === "number" && Number.isFinite(value);

/** Places of values that have none beside them: a line alone would not show them. */
export const alone = (values: (number | null)[]): number[] =>
  values.flatMap((value, place) => (isThere(value) && !isThere(values[place - 1]) && !isThere(values[place + 1]) ? [place] : []));

/** The stretches without gaps, as places from and to (not included). */
export function stretches(values: (number | null)[]): [number, number][] {
  const found: [number, number][] = [];
  values.forEach((value, place) => {
    if (!isThere(value)) return;
    const last = found.at(-1);
    if (last?.[1] === place) last[1]++;
    else found.push([place, place + 1]);
  });
  return found;
}

/** Exponential moving average without the bias of its start (as Adam does it); `weight` 0 changes nothing. */
export function smoothed(values: number[], weight: number): number[] {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (!isThere(value)) return value; // gaps stay
    sum = sum * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    return sum / total;
  });
}
