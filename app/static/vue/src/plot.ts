// Plotly's basic bundle, which needs no eval, as the page's policy demands; only pages with charts fetch it.
// It stays the plain script it comes as: bundled as a module it takes twice as long to start.
import address from "plotly.js-basic-dist-min/plotly-basic.min.js?url";
import type { Run, Curves } from "./api";
import { smoothed, type View } from "./view";
import { t } from "./texts";

type Trace = Record<string, unknown>;

export interface Plotly {
  react(node: HTMLElement, traces: Trace[], layout: object, config: object): Promise<unknown>;
  downloadImage(node: HTMLElement, options: object): Promise<string>;
  purge(node: HTMLElement): void;
  Plots: { resize(node: HTMLElement): void };
}

let loading: Promise<Plotly> | undefined;

export function loadPlotly(): Promise<Plotly> {
  loading ??= new Promise((resolve, reject) => {
    const here = window as unknown as { Plotly?: Plotly };
    if (here.Plotly) return resolve(here.Plotly);
    const asked = document.querySelector<HTMLScriptElement>(`script[src="${address}"]`); // by the page itself
    const script = asked ?? Object.assign(document.createElement("script"), { src: address });
    script.addEventListener("load", () => (here.Plotly ? resolve(here.Plotly) : reject(new Error("Plotly"))));
    script.addEventListener("error", () => reject(new Error("Plotly")));
    if (!asked) document.head.append(script);
  });
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
    photos_seen: t("photos trained on"),
    seconds: t("seconds"),
    megabytes: t("megabytes sent"),
  })[axis];

/** The traces of one panel: per run a band over its repeats, the raw line, and the smoothed one above it. */
export function panel(key: "acc" | "loss", runs: Run[], curves: Map<string, Curves>, view: View): Trace[] {
  return runs.flatMap((run) => {
    const curve = curves.get(run.name);
    if (!curve) return [];
    const x = curve[view.axis];
    const colour = run.colour;
    const traces: Trace[] = [];
    if (view.band) {
      traces.push({
        x: [...x, ...[...x].reverse()],
        y: [...curve[`${key}_p90`], ...[...curve[`${key}_p10`]].reverse()],
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
      traces.push({ ...line, y: curve[key], line: { color: colour, width: 1 }, opacity: 0.4, showlegend: false, hoverinfo: "skip" });
    }
    traces.push({
      ...line,
      y: view.smooth ? smoothed(curve[key], view.smooth) : curve[key],
      line: { color: colour, width: 2 },
      hovertemplate: `%{y:.3f}<extra>${run.title.replace(/[<>&]/g, "")}</extra>`,
    });
    return traces;
  });
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

export const isDark = (): boolean => document.documentElement.dataset.bsTheme === "dark";
