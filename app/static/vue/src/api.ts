// What the pages ask the site for; the shapes are those of /api/v1/openapi.json.
import { tellOf } from "./carried";
import type { SoFar } from "./live";
import type { Layer, Network, Value } from "./network";
import { Refused, unreachable } from "./refused";
import { ready, token } from "./session";
import { t } from "./texts";
import type { Axis } from "./view";

export type { Layer, Network, Value };

export interface Run {
  name: string;
  title: string;
  colour: string; // of its curve on a light ground
  colour_dark?: string;
  error?: string;
  conf_name?: string; // of a run called in plain words
  accuracy: number;
  accuracy_low: number;
  accuracy_high: number;
  balanced: number;
  loss: number;
  unit?: string; // of the number that is foretold; then there are no classes, and nothing above
  rmse?: number;
  rmse_low?: number;
  rmse_high?: number;
  r2?: number;
  r2_low?: number;
  r2_high?: number;
  classes: string[];
  rounds: number;
  repeats: number;
  examples: number;
  bytes: number;
  seconds: number;
  jensen_shannon: number;
  finished: string;
  conf: Record<string, unknown>;
  tags?: string;
}

/** Where there is room for text alone, as in a choice. */
export const inText = (run: Pick<Run, "title" | "conf_name">): string => (run.conf_name ? `${run.title} (${run.conf_name})` : run.title);

export interface Series {
  name: string;
  unit: string;
  better: "higher" | "lower" | "none";
  mean: number[];
  p10: number[];
  p90: number[];
}

export interface Curves {
  costs: Record<Axis, number[]>;
  series: Series[];
}

export interface Comparison {
  a: string;
  b: string;
  seeds: number;
  scenes: number;
  p: number;
  difference: number;
  difference_low: number;
  difference_high: number;
  figure: "accuracy" | "rmse";
}

export interface Owner {
  name: string;
  examples: number;
  counts: number[] | null; // null: the owner withholds them
  sources?: Record<string, number>;
  columns?: number[]; // positions of those it has, where owners have columns
}

export interface Quality {
  brier: number;
  brier_low: number;
  brier_high: number;
  log_loss: number;
  log_loss_low: number;
  log_loss_high: number;
  error: number;
  bins: [said: number, found: number, answers: number][];
}

export type Calibration = Record<"plain" | "scaled", Quality> & { temperature: number };

export interface BySource {
  source: string;
  examples: number;
  scenes: number;
  accuracy?: number;
  accuracy_low?: number;
  accuracy_high?: number;
  balanced?: number;
  log_loss?: number;
  rmse?: number;
  rmse_low?: number;
  rmse_high?: number;
  r2?: number;
}

export interface Foretold {
  id: string;
  truth: number;
  said: number;
}

/** What each client sent in one repeat, a row an update. */
export interface Updates {
  fold: number;
  seed: number;
  rotation: number;
  round: number[]; // from 1
  client: number[]; // from 0
  norm: (number | null)[];
  cosine: (number | null)[];
  score: (number | null)[];
  kept: boolean[];
  attacked: boolean;
  hostile: number[];
}

export interface Reason {
  reason: string;
  count: number;
}

/** What a client's updates were worth over a repeat, in accuracy or share of variance explained. */
export interface Worth {
  shapley: number;
  error: number;
  leave_one_out: number;
  rounds: number;
  skipped: number;
  flag: string; // "", "free rider", "duplicate N"
}

/** Who is beside whom, and what each client's own model reached where it has one. */
export interface Graph {
  edges: [number, number][];
  accuracy?: number[];
}

export interface Details extends Run {
  by_source: BySource[];
  owners: Owner[];
  clients: { fold: number; seed: number; rotation: number; client: number; owners: string[]; examples: number; accuracy?: number | null; rmse?: number | null; worth?: Worth }[];
  confusion: number[][];
  foretold: Foretold[];
  absent: { where: "training" | "test"; what: string; folds: number[] }[];
  misjudged: { id: string; truth: number; judged: number; wrong: number; probability: number }[];
  misjudged_ever: number;
  conf_own: string[];
  conf_says: Record<string, string>;
  failures: number;
  failed_for: Reason[];
  missed_for: Reason[]; // of clients that rounds of virtual time went on without
  updates?: Updates; // of runs that recorded them
  graph?: Graph; // of runs whose clients have neighbours
  degree: Record<string, number | null>; // null: takes what an owner withholds
  layers: [string, number[]][];
  network: Network | null; // of a described one
  parameters: number;
  versions: Record<string, string>;
  data: Record<string, unknown>;
  model: { file: string; bytes: number } | null;
  machine: { engine?: string; nodes?: string[] } | null; // where it was trained
  citation: string;
  task: { calibration?: Calibration; pictures?: boolean };
}

/** What is read where much is to be done (503) is asked for again, a few times, when the site has said. */
export async function patiently(address: string, settings: RequestInit = {}): Promise<Response> {
  if (settings.method) tellOf(settings.method, address, settings.body);
  for (let tries = 0; ; tries++) {
    const answer = await fetch(address, settings);
    if (settings.method) return answer;
    if (answer.status !== 503 || tries === 5) return answer;
    await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(answer.headers.get("Retry-After")) || 2)));
  }
}

async function ask<T>(path: string, settings: RequestInit): Promise<T> {
  const answer = await patiently(`/api/v1${path}`, settings).catch(() => {
    throw unreachable();
  });
  const said = (await answer.json().catch(() => undefined)) as { error?: { message?: string; detail?: string }; network?: Network } | undefined;
  if (answer.ok && said) return said as T;
  throw new Refused(answer.status, said?.error?.message ?? t("The site answers with the error {status}. Try again in a moment.", { status: answer.status }), said?.error?.detail, said?.network);
}

export const get = <T>(path: string): Promise<T> => ask(path, { headers: { Accept: "application/json" } });

export const getRuns = async (): Promise<Run[]> => (await get<{ runs: Run[] }>("/runs")).runs;
export const getCurves = (name: string): Promise<Curves> => get(`/runs/${encodeURIComponent(name)}/curves`);
export const getDetails = (name: string): Promise<Details> => get(`/runs/${encodeURIComponent(name)}`);
export const getComparison = async (a: string, b: string): Promise<Comparison | null> =>
  (await get<{ comparison: Comparison | null }>(`/comparison?${new URLSearchParams({ a, b })}`)).comparison;

export interface Label {
  tags: string[];
  note: string;
}

export const getLabels = async (): Promise<Record<string, Label>> =>
  (await get<{ labels: Record<string, Label> }>("/labels")).labels;

/** Keep one's own tags and note on a run; returns them as the site keeps them. */
export const putLabel = (name: string, label: Label): Promise<Label> => change("PUT", `/labels/${encodeURIComponent(name)}`, label);

/** Ask for a change. A token that has grown old is renewed and a session that has ended begun again, in place, and the
 * change goes on; only a `quiet` one, which nobody clicked for, asks nobody to log in.
 */
export async function change<T>(method: string, path: string, body?: FormData | Blob | object, quiet = false): Promise<T> {
  const form = body instanceof FormData || body instanceof Blob;
  const once = (): Promise<T> =>
    ask(path, {
      method,
      headers: { "X-CSRFToken": token(), ...(form || !body ? {} : { "Content-Type": "application/json" }) },
      body: form ? body : body && JSON.stringify(body),
    });
  try {
    return await once();
  } catch (fault) {
    const { status, detail } = fault as Refused;
    const old = status === 400 && detail === "token";
    if (!old && (quiet || status !== 401)) throw fault;
    await ready(!quiet);
    return await once();
  }
}


/** A part that a key may name, with the keys it has. */
export interface PartChoice {
  name: string;
  about: string;
  install: string; // the command without which it cannot be used here
  keys: Key[];
}

export interface Key {
  key: string;
  doc: string;
  kind: "text" | "number" | "whole" | "switch" | "lists" | "part" | "parts";
  of: string;
  required: boolean;
  default: Value | null;
  choices?: string[];
  parts?: PartChoice[];
  low?: number;
  high?: number;
  above_low?: boolean;
  below_high?: boolean;
  multiple?: number;
}

export interface Preview {
  conf: Record<string, Value>;
  network: Network;
  classes: string[];
  unit: string | null;
  owners: Owner[] | null;
  degree: Record<string, number> | null;
  absent: { where: "training" | "test"; what: string }[] | null;
  steps: number | null;
  examples: number | null;
  examples_per_second: number | null;
  measured_by: number | null;
  likened_to: string | null; // a run of the same net trained elsewhere, whose pace is told
  scenes: number[] | null; // that each fold judges
  reason: string;
}

/** The share of examples of which just one of two runs is right. */
export interface Disagreement {
  share: number;
  a: string;
  b: string;
  own: boolean; // of the set itself
}

/** A set of examples on the site's machine. */
export interface ExampleSet {
  name: string;
  type: string;
  brought: boolean;
  examples: number;
  scenes: number;
  classes: Record<string, number>;
  sources: Record<string, number>;
  disagreement: Disagreement | null;
}

export const getSets = async (): Promise<ExampleSet[]> => (await get<{ sets: ExampleSet[] }>("/sets")).sets;
export const drawSet = async (asked: { count: number; name: string }): Promise<Job[]> => (await change<{ jobs: Job[] }>("POST", "/sets", asked)).jobs;

/** A network that confs may name: its description as in its file, and as confs are told, with every option. */
export interface Template {
  name: string;
  about: string;
  description: Value;
  whole: Value;
}

export interface Confs {
  keys: Key[];
  brought: Record<string, Record<string, Value>>; // by task, what keys are that a conf of it does not name
  networks: Template[];
  confs: Record<string, Record<string, Value>>;
  tasks: Record<string, string>; // the network of each task
}

export const getConfs = (): Promise<Confs> => get("/confs");
export const previewConf = (conf: object): Promise<Preview> => change("POST", "/confs/preview", conf, true);

export type JobState = "held" | "queued" | "running" | "paused" | "stopped" | "done" | "failed";

export interface Job {
  id: number;
  kind: "training" | "study" | "drawing" | "leaks";
  name: string;
  note: string;
  who: string;
  mine: boolean;
  state: JobState;
  wish: "" | "pause" | "stop" | "delete";
  reason: string;
  run: string;
  nodes: string[]; // it is trained on, in the order of its clients; none: this machine
  folds: number;
  seeds: number;
  priority: number;
  position: number | null;
  created: string;
  started: string | null;
  ended: string | null;
  seconds: number;
  examples: number | null;
  examples_done: number | null;
  examples_per_second: number | null;
  seconds_left: number | null;
}

export interface Machine {
  alive: boolean;
  slots: number;
  per_user: number;
  cores: number;
  load_average: number;
  free_megabytes: number;
  used_megabytes: number;
  quota_megabytes: number;
}

export interface Work {
  client: number;
  owners: string;
  state: "waiting" | "training" | "done" | "failed";
  examples?: number;
  seconds?: number;
  reason?: string;
}

export interface JobDetails extends Job {
  conf: Record<string, Value>;
  at_work: { repeat: string; round: number; rounds: number; clients: Work[] }[];
  curves: Record<string, SoFar>;
  rounds: number;
  repeats: number;
}

export interface Line {
  line: number;
  at: string;
  level: "info" | "warning" | "error";
  text: string;
}

export interface Submission {
  conf: object;
  name: string;
  note: string;
  folds: number;
  seeds: number;
  sweep: Record<string, unknown[]>;
  nodes: string[];
}

export const getJobs = (): Promise<{ jobs: Job[]; machine: Machine }> => get("/jobs");
export const getJob = (id: number): Promise<JobDetails> => get(`/jobs/${id}`);
export const getLog = async (id: number, after: number): Promise<Line[]> => (await get<{ lines: Line[] }>(`/jobs/${id}/log?after=${after}`)).lines;
export const submitJobs = async (asked: Submission): Promise<Job[]> => (await change<{ jobs: Job[] }>("POST", "/jobs", asked)).jobs;
export const actOnJob = (id: number, action: "pause" | "stop" | "resume" | "repeat"): Promise<Job> => change("POST", `/jobs/${id}/${action}`);
export const editJob = (id: number, what: { name?: string; note?: string; priority?: number }): Promise<Job> => change("PUT", `/jobs/${id}`, what);
export const deleteJob = (id: number): Promise<{ gone: boolean }> => change("DELETE", `/jobs/${id}`);

export type Verdict = "better" | "worse" | "none" | "untested";

export interface FigureValue {
  value: number;
  low: number;
  high: number;
  interval: boolean; // 95 %; else the lowest and highest of a seed
  seeds: number;
  rounds: number[];
}

export interface MeasuredCell {
  key: string;
  failed: string;
  figures: Record<string, FigureValue>;
  bytes: number;
  seconds: number;
  left_out: { clients: (number | null)[]; hostile_clients: number[]; hostile: number | null; honest: number | null } | null;
}

export interface TestedPair {
  a: string;
  b: string;
  told: string;
  verdict: Verdict;
  figure: "accuracy" | "rmse";
  difference: number;
}

/** What was measured for a study; of a file that cannot be read, its name and the error. */
export interface StudyResult {
  name: string;
  error?: string;
  finished: string;
  seeds: number;
  examples: number;
  versions: Record<string, string>;
  series: { name: string; unit: string; better: "higher" | "lower" | "none" }[];
  answer: string;
  sentences: string[];
  cells: MeasuredCell[];
  tested: TestedPair[];
}

export interface StudyValue {
  name: string;
  label: string;
}

export interface StudyCell {
  key: string;
  label: string;
  trained_as: string;
  values: string[];
  conf: Record<string, Value>;
}

export interface Study {
  name: string;
  title: string;
  question: string;
  equal: string;
  decided_by: string;
  picture: "lines" | "heat" | "bars" | "curves" | "costs";
  across: string; // what the figures of a picture of costs are drawn across: bytes, or a figure
  answers: "said" | "own";
  seeds: number;
  colours: [light: string, dark: string][];
  axes: (StudyValue & { values: StudyValue[] })[];
  figures: StudyValue[];
  cells: StudyCell[];
  results: StudyResult[];
}

export const getStudy = (name: string): Promise<Study> => get(`/studies/${encodeURIComponent(name)}`);
/** What came of attacks on updates of a run, with a protection; why there were none, and nothing else. */
export interface Inversion {
  network: "own" | "small";
  protection: string;
  label: string;
  changes: Record<string, Value>;
  failed: string;
  psnr?: number[]; // dB, by update, of pictures
  error?: number[]; // else in standard deviations of a column
  guess?: number; // the same of who knows nothing
  label_told?: number | null;
  updates?: number;
  examples?: number;
  iterations?: number;
  parameters?: number;
  pictures: boolean;
}

export interface WithEnds {
  value: number;
  low: number;
  high: number;
}

export interface Leaks {
  run: string;
  caveat: string;
  fault: string;
  report: { finished: string; seconds: number; rows: Inversion[]; membership: { auc: WithEnds; tpr: WithEnds; members: number; others: number; other_scenes: number } | null } | null;
}

export const getLeaks = (run: string): Promise<Leaks> => get(`/runs/${encodeURIComponent(run)}/leaks`);
export const attackRun = async (run: string): Promise<Job[]> => (await change<{ jobs: Job[] }>("POST", `/runs/${encodeURIComponent(run)}/leaks/jobs`)).jobs;

export const runStudy = async (name: string): Promise<Job[]> => (await change<{ jobs: Job[] }>("POST", `/studies/${encodeURIComponent(name)}/jobs`)).jobs;
