// What is drawn of a study: its cells as lines, dots or curves for Plotly, or as tiles of a heat map.
import type { FigureValue, Study, StudyCell, StudyResult } from "./api";
import { t } from "./texts";

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "triangle-down", "star", "cross"];

/** What can be switched on and off: the lines of a picture, by name. */
export interface Line {
  name: string;
  label: string;
  number: number;
}

export const colour = (study: Study, number: number, dark: boolean): string => study.colours[number % study.colours.length]![dark ? 1 : 0];
export const inks = (study: Study, line: Line): Record<string, string> => ({ "--light": colour(study, line.number, false), "--dark": colour(study, line.number, true) });

/** The lines of a study: one a value of the second axis; of curves one a cell; of bars along one axis a single one. */
export function linesOf(study: Study): Line[] {
  if (study.picture === "curves") return study.cells.map((cell, number) => ({ name: cell.key, label: cell.label, number }));
  const axis = study.axes[1];
  return axis ? axis.values.map((value, number) => ({ ...value, number })) : [{ name: "", label: study.axes[0]!.label, number: 0 }];
}

/** The line that a cell belongs to. */
export const lineOf = (study: Study, cell: StudyCell): string => (study.picture === "curves" ? cell.key : (cell.values[1] ?? ""));

/** The cells of a panel, where a third axis makes such. */
export const ofPanel = (study: Study, panel: string): StudyCell[] => study.cells.filter((cell) => !panel || (cell.values[2] ?? "") === panel);

export const shipped = (study: Study, result: StudyResult): boolean => result.name === study.name;

export function figureOf(result: StudyResult, key: string, figure: string): FigureValue | undefined {
  return result.cells.find((cell) => cell.key === key)?.figures[figure];
}

export interface Shown {
  figure: string;
  panel: string;
  lines: Set<string>;
  results: StudyResult[];
}

type Trace = Record<string, unknown>;
const plain = (text: string): string => text.replace(/[<>&]/g, "");

/** A figure as people read it: fractions as percent. */
export function said(value: number, unit: string): string {
  if (unit === "fraction") return `${(100 * value).toFixed(1)} %`;
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
}

/** The same with its ends: `98.8 % [97.6, 99.7]`. */
export function between(one: FigureValue, unit: string): string {
  const bare = (value: number): string => (unit === "fraction" ? (100 * value).toFixed(1) : said(value, unit));
  return `${said(one.value, unit)} [${bare(one.low)}, ${bare(one.high)}]`;
}

export const unitOf = (study: Study, figure: string): string =>
  study.results.flatMap((one) => one.series ?? []).find((one) => one.name === figure)?.unit ?? (figure.includes("accuracy") ? "fraction" : "");

/** The traces of a panel; results of one's own are drawn with open marks and dashed lines beside the shipped ones. */
export function traces(study: Study, shown: Shown, dark: boolean): Trace[] {
  const lines = linesOf(study).filter((line) => shown.lines.has(line.name));
  const percent = unitOf(study, shown.figure) === "fraction" ? 100 : 1;
  return shown.results.flatMap((result, which) =>
    lines.flatMap((line, among): Trace[] => {
      const open = !shipped(study, result);
      const ink = colour(study, line.number, dark);
      const name = plain(`${line.label}${open ? ` (${result.name})` : ""}`);
      const cells = ofPanel(study, shown.panel).filter((cell) => lineOf(study, cell) === line.name);
      if (study.picture === "curves") {
        const one = figureOf(result, line.name, shown.figure);
        if (!one?.rounds.length) return [];
        const x = one.rounds.map((_, round) => round + 1);
        return [{ x, y: one.rounds.map((value) => percent * value), name, mode: "lines", line: { color: ink, width: 2, dash: open ? "dash" : "solid" }, hovertemplate: `%{y:.4~g}<extra>${name}</extra>` }];
      }
      const found = cells.flatMap((cell) => {
        const measured = result.cells.find((one) => one.key === cell.key);
        const one = measured?.figures[shown.figure];
        const cost = study.across === "bytes" ? measured?.bytes : measured?.figures[study.across]?.value;
        return one ? [{ at: study.axes[0]!.values.findIndex((value) => value.name === cell.values[0]), one, label: plain(cell.label), cost }] : [];
      });
      if (!found.length) return [];
      const beside = (among - (lines.length - 1) / 2) * Math.min(0.12, 0.6 / lines.length) + which * 0.03;
      const at = found.map(({ at }) => at + beside);
      const value = found.map(({ one }) => percent * one.value);
      const bars = {
        type: "data",
        symmetric: false,
        array: found.map(({ one }) => percent * (one.high - one.value)),
        arrayminus: found.map(({ one }) => percent * (one.value - one.low)),
        color: ink,
        thickness: 1.5,
        width: 3,
      };
      const marker = { color: ink, size: 9, symbol: `${SYMBOLS[line.number % SYMBOLS.length]}${open ? "-open" : ""}`, line: { color: ink, width: open ? 2 : 0 } };
      const text = found.map(({ one }) => between(one, percent === 100 ? "fraction" : ""));
      const common = { name, marker, text, hovertemplate: `%{text}<extra>${name}</extra>` };
      if (study.picture === "costs") {
        const priced = found.filter((one): one is Priced => one.cost !== undefined).sort((a, b) => a.cost - b.cost);
        const names = priced.map((one) => (lines.length === 1 && !priced.some((other) => beats(other, one)) ? one.label : ""));
        const middle = Math.sqrt((priced[0]?.cost ?? 1) * (priced.at(-1)?.cost ?? 1));
        const up = (at: number): string => (names.slice(0, at).filter(Boolean).length % 2 ? "top" : "bottom"); // in turns, so that they do not lie on each other
        const single = lines.length === 1;
        return [{
          name, marker, x: priced.map(({ cost }) => cost), y: priced.map(({ one }) => percent * one.value), mode: single ? "markers+text" : "lines+markers", line: { color: ink, width: 2, dash: open ? "dash" : "solid" },
          text: names, textfont: { size: 12 }, cliponaxis: false,
          textposition: priced.map(({ cost }, at) => `${up(at)} ${cost < middle ? "right" : "left"}`),
          error_y: { ...bars, array: priced.map(({ one }) => percent * (one.high - one.value)), arrayminus: priced.map(({ one }) => percent * (one.value - one.low)) },
          hovertext: priced.map(({ one, label }) => `${label}: ${between(one, percent === 100 ? "fraction" : "")}`), hovertemplate: `%{hovertext}, %{x:.3~s}${study.across === "bytes" ? "B" : ""}<extra></extra>`,
        }];
      }
      if (study.picture === "bars") return [{ ...common, x: value, y: at, error_x: bars, mode: "markers" }];
      return [{ ...common, x: at, y: value, error_y: bars, mode: "lines+markers", line: { color: ink, width: 2, dash: open ? "dash" : "solid" } }];
    }),
  );
}

/** A cell with what it costs. */
interface Priced { at: number; one: FigureValue; label: string; cost: number }
/** Whether one cell costs less than another and does no worse: then the other needs no name in the picture. */
const beats = (one: Priced, other: Priced): boolean => one.cost < other.cost && one.one.value >= other.one.value;

/** The layout that goes with them. */
export function layoutOf(study: Study, shown: Shown, dark: boolean): object {
  const ink = dark ? "#dde5ee" : "#1d2733";
  const grid = dark ? "#2b3746" : "#e9e5dc";
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, fixedrange: true };
  const label = study.figures.find((one) => one.name === shown.figure)?.label ?? shown.figure;
  const unit = unitOf(study, shown.figure);
  const value = { ...axis, title: { text: plain(unit === "fraction" ? `${label}, %` : unit ? `${label}, ${unit}` : label), standoff: 8 }, automargin: true };
  const first = study.axes[0]!;
  const steps = { ...axis, tickvals: first.values.map((_, at) => at), ticktext: first.values.map((one) => plain(one.label)), zeroline: false, automargin: true };
  const shape = {
    font: { family: "system-ui, sans-serif", color: ink, size: 13 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 12, t: 12, b: 50 },
    hovermode: "closest",
    hoverlabel: { bgcolor: dark ? "#18212c" : "#ffffff", font: { color: ink } },
    showlegend: false,
  };
  if (study.picture === "curves") return { ...shape, hovermode: "x unified", xaxis: { ...axis, title: { text: t("round") } }, yaxis: value };
  if (study.picture === "costs") {
    const bytes = study.across === "bytes";
    const says = bytes ? t("bytes sent in all") : (study.figures.find((one) => one.name === study.across)?.label ?? study.across);
    return { ...shape, xaxis: { ...axis, type: "log", dtick: "D2", exponentformat: "SI", ticksuffix: bytes ? "B" : "", title: { text: plain(says), standoff: 10 } }, yaxis: value };
  }
  if (study.picture === "bars") return { ...shape, margin: { l: 8, r: 12, t: 12, b: 50 }, xaxis: value, yaxis: { ...steps, range: [first.values.length - 0.5, -0.5] } };
  return { ...shape, xaxis: { ...steps, range: [-0.5, first.values.length - 0.5], title: { text: plain(first.label), standoff: 10 } }, yaxis: value };
}

/** Where the values of all tiles lie, so that panels share a scale. */
export function scaleOf(study: Study, figure: string, results: StudyResult[]): [low: number, high: number] {
  const all = results.flatMap((result) => study.cells.flatMap((cell) => figureOf(result, cell.key, figure)?.value ?? []));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  if (!all.length) return [0, 1];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}
