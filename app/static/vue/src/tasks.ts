// How published tasks are told of: states, what is wanted, scores, and which version came from which. No page here.
import type { CallCard, CallState, Described, Field, Score, TrainingState, Version } from "./calls-api";
import type { Value } from "./network";
import { brief, t } from "./texts";

export const stateName = (state: CallState): string =>
  ({ draft: t("draft"), open: t("open"), paused: t("paused"), finished: t("finished"), cancelled: t("cancelled") })[state];

export const trainingName = (state: TrainingState): string =>
  ({
    training: t("being trained"), lapsed: t("not heard of"), waiting: t("waiting"), accepted: t("being folded"),
    folded: t("in a version"), refused: t("refused"), withdrawn: t("taken back"),
  })[state];

export const testName = (state: "waiting" | "accepted" | "refused"): string => ({ waiting: t("waits for the publisher"), accepted: t("counts"), refused: t("refused") })[state];

/** What an example is and what is asked of it, in a word each. */
export const wanted = (format: NonNullable<CallCard["format"]>): string =>
  ({
    "picture label": t("pictures → a label"),
    "picture number": t("pictures → a number"),
    "values label": t("values → a label"),
    "values number": t("values → a number"),
  })[`${format.input} ${format.answer}`] ?? "";

/** A score as people read it: a share as percent, an error in its unit. */
export function scored(score: Score, unit = ""): string {
  return score.name === "accuracy" ? t("{percent} % right", { percent: (100 * score.value).toFixed(1) }) : t("off by {error} (RMSE)", { error: `${brief(score.value)}${unit ? ` ${unit}` : ""}` });
}

/** From where to where a value may be, with its unit. */
export const spread = (field: Field): string => `${plainNumber(field.low)} – ${plainNumber(field.high)}${field.unit ? ` ${field.unit}` : ""}`;
const plainNumber = (value: number): string => String(Number(value.toPrecision(6)));

/** A network in plain words. */
export function networkSays(network: Value | undefined): string {
  if (typeof network === "string") return t("The network called {name}", { name: network });
  if (!network || typeof network !== "object" || Array.isArray(network)) return "";
  if ("backbone" in network) return t("The network of the run {run}, frozen, under one layer that is learnt", { run: String(network.backbone) });
  if ("model_name" in network) return t("A ResNet ({name}), {width} channels wide at its start", { name: String(network.model_name), width: Number(network.width ?? 16) });
  const layers = Array.isArray(network.layers) ? network.layers : [];
  return layers.length ? t("A network of {count} described layers and one for the answer", { count: layers.length }) : t("One layer: logistic or linear regression");
}

/** How many numbers are learnt. */
export const parametersOf = (shapes: Record<string, number[]>): number =>
  Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, side) => product * side, 1), 0);

/** When updates are folded, in a sentence. */
export function foldingSays({ mode, goal, least, minutes }: Described["aggregation"]): string {
  if (mode === "manual") return t("Updates are folded when the publisher says so, once at least {least} wait.", { least });
  return t("Updates are folded as soon as {goal} wait; {minutes} minutes after the first, {least} are enough.", { goal, least, minutes: plainNumber(minutes) });
}

/** The figure that versions are compared by; none: nothing was tested yet. */
export const figureOf = (versions: Version[]): Score["name"] | undefined => (["accuracy", "rmse"] as const).find((name) => versions.some((one) => name in one.scores));

/** The versions that the present one came from, itself included, the first first. */
export function lineage(versions: Version[]): Version[] {
  const by = new Map(versions.map((one) => [one.number, one]));
  const found: Version[] = [];
  for (let one = versions.find((version) => version.current); one && !found.includes(one); one = one.parent === null ? undefined : by.get(one.parent)) found.unshift(one);
  return found;
}

type Trace = Record<string, unknown>;

/** The chart of scores over versions: the way to the present one as a line, versions that were left beside it. */
export function scoresChart(versions: Version[], unit: string, dark: boolean): { traces: Trace[]; layout: object } {
  const name = figureOf(versions) ?? "accuracy";
  const factor = name === "accuracy" ? 100 : 1;
  const has = (one: Version): boolean => name in one.scores;
  const way = lineage(versions).filter(has);
  const left = versions.filter((one) => has(one) && !way.includes(one));
  const by = new Map(versions.map((one) => [one.number, one]));
  const [ink, faint, blue, grid] = dark ? ["#dde5ee", "#a3b0be", "#5aa9e6", "#2b3746"] : ["#1d2733", "#5b6673", "#17609c", "#e9e5dc"];
  const value = (one: Version): number => factor * one.scores[name]!;
  const says = (one: Version): string => `${t("Version {number}", { number: one.number })}: ${scored({ name, value: one.scores[name]! }, unit.replace(/[<>&]/g, ""))}, ${t("{count} test examples", { count: one.tested })}`;
  const common = { hovertemplate: "%{text}<extra></extra>", cliponaxis: false };
  const branches = left.map((one): Trace => {
    const parent = one.parent === null ? undefined : by.get(one.parent);
    const ends = parent && has(parent) ? [parent, one] : [one];
    return { ...common, x: ends.map((end) => end.number), y: ends.map(value), text: ends.map(says), mode: "lines+markers", line: { color: faint, width: 1, dash: "dot" }, marker: { color: faint, size: ends.map((end) => (end === one ? 8 : 0)), symbol: "circle-open" } };
  });
  const main: Trace = { ...common, x: way.map((one) => one.number), y: way.map(value), text: way.map(says), mode: "lines+markers", line: { color: blue, width: 2 }, marker: { color: blue, size: way.map((one) => (one.current ? 12 : 8)) } };
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, fixedrange: true, automargin: true };
  const title = name === "accuracy" ? t("Right answers, %") : unit ? t("Error (RMSE), {unit}", { unit: unit.replace(/[<>&]/g, "") }) : t("Error (RMSE)");
  return {
    traces: way.length ? [...branches, main] : branches,
    layout: {
      font: { family: "system-ui, sans-serif", color: ink, size: 13 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 16, t: 12, b: 48 }, hovermode: "closest", hoverlabel: { bgcolor: dark ? "#18212c" : "#ffffff", font: { color: ink } }, showlegend: false,
      xaxis: { ...axis, title: { text: t("version") }, tickformat: "d", ...(versions.length < 12 ? { dtick: 1 } : {}), range: [0.5, Math.max(2, ...versions.map((one) => one.number)) + 0.5] },
      yaxis: { ...axis, title: { text: title, standoff: 8 } },
    },
  };
}

/** What looked wrong with an update, in a sentence. */
export function flagSays(flag: string | undefined): string {
  if (!flag) return "";
  return flag.startsWith("duplicate") ? t("Points where another update of its fold does: a duplicate?") : flag === "free rider" ? t("Changes next to nothing: a free rider?") : flag;
}

/** What an update was worth, in points of accuracy or of explained variance. */
export const worthSays = (worth: { shapley?: number; error?: number }): string =>
  worth.shapley === undefined ? "" : `${(100 * worth.shapley).toFixed(1)} ± ${(100 * (worth.error ?? 0)).toFixed(1)}`;
