// Plotly's basic bundle, which needs no eval, as the page's policy demands; only pages with charts fetch it.
// It stays the plain script it comes as: bundled as a module it takes twice as long to start.
import address from "plotly.js-basic-dist-min/plotly-basic.min.js?url";
import { inText, type Curves, type Run, type Series } from "./api";
import { unreachable } from "./refused";
import { alone, smoothed, stretches, type View } from "./view";
import { t } from "./texts";

type Trace = Record<string, unknown>;

export interface Plotly {
  react(node: HTMLElement, traces: Trace[], layout: object, config: object): Promise<unknown>;
  downloadImage(figure: { data: Trace[]; layout: object }, options: object): Promise<string>;
  purge(node: HTMLElement): void;
  Plots: { resize(node: HTMLElement): void };
}

let loading: Promise<Plotly> | undefined;

/** A wide screen shows charts soon, a phone further down: there Plotly, a second's work, waits until one comes near. */
export const isWide = (): boolean => matchMedia("(min-width: 48rem)").matches;

export function loadPlotly(): Promise<Plotly> {
  if (loading) return loading;
  loading = new Promise((resolve, reject) => {
    const here = window as unknown as { Plotly?: Plotly };
    if (here.Plotly) return resolve(here.Plotly);
    const script = Object.assign(document.createElement("script"), { src: address });
    const end = (): void => (here.Plotly ? resolve(here.Plotly) : reject(unreachable()));
    script.addEventListener("load", end);
    script.addEventListener("error", end);
    document.head.append(script);
  });
  loading.catch(() => (loading = undefined)); // the next call tries again
  return loading;
}

let queue: Promise<unknown> = Promise.resolve();

/** Draw one chart after the other: the first is there sooner, and all of them no later. */
export function inTurn(draw: () => Promise<unknown>): Promise<unknown> {
  queue = queue.then(draw, draw);
  return queue;
}

export const axisTitle = (axis: View["axis"]): string =>
  ({
    round: t("round"),
    passes: t("passes over the data held by the clients"),
    steps: t("gradient steps, one after the other"),
    examples: t("examples trained on"),
    seconds: t("seconds"),
    bytes: t("bytes sent"),
  })[axis];

/** The series in place of those of classes where no drawn run has such. */
const OF_NUMBERS: Record<string, string> = { accuracy: "rmse", loss: "r2", validation_loss: "validation_rmse" };
export function inPlace(metric: string, series: { name: string }[]): string {
  const has = (name?: string): boolean => series.some((one) => one.name === name);
  return !has(metric) && has(OF_NUMBERS[metric]) ? OF_NUMBERS[metric]! : metric;
}

/** A series as people call it; one that a part brought goes by its own name. */
export const seriesTitle = (name: string, unit = ""): string =>
  ({
    accuracy: t("Accuracy on test examples"),
    balanced_accuracy: t("Balanced accuracy on test examples"),
    loss: t("Loss (cross-entropy, nats)"),
    rmse: t("Root mean squared error on test examples, {unit}", { unit: t(unit) }),
    mae: t("Mean absolute error on test examples, {unit}", { unit: t(unit) }),
    r2: t("R² on test examples"),
    validation_rmse: t("Root mean squared error on validation examples, {unit}", { unit: t(unit) }),
    validation_accuracy: t("Accuracy on validation examples"),
    validation_loss: t("Loss on validation examples (nats)"),
    training_loss: unit === "nats" ? t("Loss in training (nats)") : unit === "variances" ? t("Squared error in training, share of the variance") : t("Squared error in training, {unit}", { unit: t(unit) }),
    seconds: t("Seconds a round"),
    training_seconds: t("Seconds of training a round"),
    bytes_up: t("Bytes that clients send, a round"),
    bytes_down: t("Bytes sent to clients, a round"),
    steps: t("Gradient steps a round"),
    examples: t("Examples trained on, a round"),
    client_accuracy: t("Accuracy for clients: mean"),
    client_accuracy_spread: t("Accuracy for clients: standard deviation"),
    client_accuracy_worst: t("Accuracy for clients: worst tenth"),
    attack_success: t("Success of the attack"),
    update_norm: t("Norm of updates: mean"),
    update_norm_most: t("Norm of updates: largest"),
    update_cosine: t("Cosine of updates to their mean: mean"),
    update_cosine_least: t("Cosine of updates to their mean: least"),
    virtual_seconds: t("Virtual seconds since the start"),
    staleness: t("Steps since an update began: mean"),
    staleness_most: t("Steps since an update began: most"),
    own_models_accuracy: t("Accuracy of clients' own models: mean"),
    own_models_accuracy_worst: t("Accuracy of clients' own models: worst"),
    consensus_distance: t("Distance of clients' models from their mean"),
    spectral_gap: t("Spectral gap of the graph"),
    messages: t("Messages between owners, a round"),
    pseudo_labels: t("Share of unlabelled examples that got a label"),
    pseudo_labels_right: t("Share of these labels that were right"),
    worth_models: t("Models judged to value updates, a round"),
    worth_models_all: t("Models judged to value updates, so far"),
    worth_seconds: t("Seconds it took to value updates, a round"),
    worth_hostile: t("Shapley value so far: hostile clients, mean"),
    worth_others: t("Shapley value so far: other clients, mean"),
    leave_one_out_hostile: t("Leave-one-out so far: hostile clients, mean"),
    leave_one_out_others: t("Leave-one-out so far: other clients, mean"),
  })[name] ?? `${name.replaceAll("_", " ")}${unit ? ` (${unit})` : ""}`;

/** The series that at least one of the runs has, in the order of the first that has it. */
export function seriesOf(runs: Run[], curves: Map<string, Curves>): Series[] {
  const found = new Map<string, Series>();
  for (const run of runs) for (const one of curves.get(run.name)?.series ?? []) if (!found.has(one.name)) found.set(one.name, one);
  return [...found.values()];
}

/** What a series is of where its name does not say it, and which way is better; of some neither is. */
export function seriesSays(one?: Series): string {
  const of = /^client_accuracy/.test(one?.name ?? "") ? t("each on test examples such as its own") : one?.name === "attack_success" ? t("share of test examples that come out as it wants") : "";
  const better = one?.better === "higher" ? t("higher is better") : one?.better === "lower" ? t("lower is better") : "";
  return [of, better].filter(Boolean).join("; ");
}

const GROUPS: [title: () => string, names: RegExp][] = [
  [() => t("The model"), /^(validation_)?(accuracy|balanced_accuracy|loss|rmse|mae|r2)$|^training_loss$/],
  [() => t("Clients and what they send"), /^(client_|update_|attack_|own_models_|consensus_|pseudo_|worth_(hostile|others)|leave_one_out_)/],
  [() => t("Time and effort"), /^(seconds|training_seconds|virtual_seconds|staleness|staleness_most|messages|worth_models|worth_models_all|worth_seconds|bytes_up|bytes_down|steps|examples)$/],
];
/** Series by what they are of, for a choice among many; those that parts brought come last. */
export function seriesGroups(series: Series[]): { title: string; series: Series[] }[] {
  const groups = GROUPS.map(([title, names]) => ({ title: title(), series: series.filter((one) => names.test(one.name)) }));
  const others = series.filter((one) => !GROUPS.some(([, names]) => names.test(one.name)));
  return [...groups, { title: t("Of its parts"), series: others }].filter((group) => group.series.length);
}

/** A run's colours, for style sheets, which choose by the theme. */
export const inks = (run: Run): Record<string, string> => ({ "--light": run.colour, "--dark": run.colour_dark ?? run.colour });

/** The traces of one panel: per run a band over its repeats, the raw line, and the smoothed one above it. */
export function panel(key: string, runs: Run[], curves: Map<string, Curves>, view: View, dark = isDark()): Trace[] {
  return runs.flatMap((run) => {
    const curve = curves.get(run.name);
    const one = curve?.series.find((series) => series.name === key);
    if (!curve || !one) return [];
    const x = curve.costs[view.axis];
    const colour = (dark && run.colour_dark) || run.colour;
    const traces: Trace[] = [];
    const single = alone(one.mean);
    if (view.band) {
      const parts = stretches(one.mean);
      const around = (there: number[], back: number[], apart: null[]): (number | null)[] =>
        parts.flatMap(([from, to], part) => [...(part ? apart : []), ...there.slice(from, to), ...back.slice(from, to).reverse()]);
      traces.push({
        x: around(x, x, [null]),
        y: around(one.p90, one.p10, [null]),
        fill: "toself",
        fillcolor: colour,
        opacity: 0.12,
        mode: "none",
        hoverinfo: "skip",
        showlegend: false,
        legendgroup: run.name,
      });
    }
    const line = { x, name: run.title, legendgroup: run.name, mode: "lines" };
    if (view.smooth) {
      traces.push({ ...line, y: one.mean, line: { color: colour, width: 1 }, opacity: 0.4, showlegend: false, hoverinfo: "skip" });
    }
    traces.push({
      ...line,
      y: view.smooth ? smoothed(one.mean, view.smooth) : one.mean,
      line: { color: colour, width: 2 },
      hovertemplate: `%{y:.4~g}<extra>${plain(run.title)}</extra>`,
      ...(single.length ? dots(single, one, view.band, colour) : {}),
    });
    return traces;
  });
}

/** What shows the points of a curve that no line leads to, each with its own band. */
function dots(single: number[], one: Series, band: boolean, colour: string): Trace {
  const only = (value: (place: number) => number): number[] => one.mean.map((_, place) => (single.includes(place) ? value(place) : 0));
  const bars = { type: "data", symmetric: false, thickness: 1.5, width: 4, color: colour };
  return {
    mode: "lines+markers",
    marker: { color: colour, size: only(() => 9), opacity: 1, line: { width: 0 } },
    ...(band ? { error_y: { ...bars, array: only((place) => one.p90[place]! - one.mean[place]!), arrayminus: only((place) => one.mean[place]! - one.p10[place]!) } } : {}),
  };
}

export function layout(title: string, view: View, dark: boolean): object {
  const ink = dark ? "#dde5ee" : "#1d2733";
  const grid = dark ? "#2b3746" : "#e9e5dc";
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid };
  return {
    title: { text: title, x: 0, font: { size: 15 } },
    font: { family: "system-ui, sans-serif", color: ink, size: 13 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 55, r: 10, t: 40, b: 50 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: dark ? "#18212c" : "#ffffff", font: { color: ink } },
    showlegend: false,
    xaxis: { ...axis, title: { text: axisTitle(view.axis) }, type: view.logX ? "log" : "linear" },
    yaxis: { ...axis, type: view.logY ? "log" : "linear" },
  };
}

/** A chart to take along, which has to say by itself what the page says around it. */
export function picture(metric: string, runs: Run[], curves: Map<string, Curves>, view: View): { data: Trace[]; layout: object } {
  const unit = curves.get(runs[0]?.name ?? "")?.series.find((one) => one.name === metric)?.unit;
  const title = seriesTitle(metric, unit);
  const data = panel(metric, runs, curves, view, false).map((trace) => {
    const run = runs.find((one) => one.name === trace.legendgroup);
    return run && trace.showlegend !== false ? { ...trace, name: plain(t("{run}, {repeats} repeats", { run: inText(run), repeats: run.repeats })) } : trace;
  });
  const below = view.band ? t("Mean over the repeats; the band holds the middle 80 % of them") : t("Mean over the repeats");
  const drawn = layout("", view, false) as { xaxis: object; yaxis: object };
  return {
    data,
    layout: {
      ...drawn,
      title: { text: `${plain(title)}<br><span style="font-size: 13px">${plain(below)}</span>`, x: 0.02, y: 0.96, yanchor: "top", font: { size: 20 } },
      paper_bgcolor: "#ffffff",
      plot_bgcolor: "#ffffff",
      margin: { l: 80, r: 30, t: 90, b: 70 },
      showlegend: true,
      legend: { orientation: "h", y: -0.16, yanchor: "top", x: 0, font: { size: 13 } },
      yaxis: { ...drawn.yaxis, title: { text: unit === "fraction" ? `${plain(title)} (0–1)` : plain(title) } },
    },
  };
}

/** Text that Plotly does not take for markup. */
const plain = (text: string): string => text.replace(/[<>&]/g, "");

export const isDark = (): boolean => document.documentElement.dataset.bsTheme === "dark";
