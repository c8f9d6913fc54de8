// What the pages ask the site about published tasks; the shapes are those of /api/v1/openapi.json.
import { change, get, type PartChoice, type Value } from "./api";
import type { Step } from "./training/network";

export type CallState = "draft" | "open" | "paused" | "finished" | "cancelled";
export type Order = "recommended" | "new" | "hot";

export interface Category {
  id: number;
  name: string;
  count: number;
}

export interface Score {
  name: "accuracy" | "rmse";
  value: number;
}

/** A task at a glance. */
export interface CallCard {
  id: number;
  name: string;
  by: string; // empty: the account is gone
  about: string;
  cover: string;
  mine: "" | "joined" | "left";
  state: CallState;
  category: { id: number; name: string } | null;
  format: { input: "picture" | "values"; answer: "label" | "number" } | null;
  version: number;
  versions: number;
  participants: number;
  folded_lately: number;
  score: Score | null;
  published: string | null;
}

export interface Board {
  calls: CallCard[];
  order: Order;
  says: string; // how the order comes about
  categories: Category[];
}

/** A value of an example, or the number that is asked. */
export interface Field {
  key: string;
  name: string;
  hint: string;
  unit: string;
  low: number;
  high: number;
}

export interface Label {
  name: string;
  hint: string;
}

/** All of a task as data, as `utils.calls.described` has it; of a draft whatever of it there is yet. */
export interface Described {
  format: {
    input: { kind: "picture"; side: number; channels: 1 | 3; colours?: "rgb" | "opponent" } | { kind: "values"; fields: Field[] };
    answer: { kind: "label"; labels: Label[] } | ({ kind: "number" } & Field);
  };
  network: Value;
  training: { lr: number; momentum: number; batch_size: number; local_epochs: number };
  start: { from: "fresh"; seed: number } | { from: "run"; run: string };
  strategy: Value;
  lambda: number;
  limits: { trainings: number; per_version: number; examples: number; counted: number; staleness: number; norm: number };
  aggregation: { mode: "manual" | "automatic"; goal: number; least: number; minutes: number };
  keep_days: number;
  credits: boolean;
  consent: string;
}

export interface Worth {
  shapley: number;
  error: number;
  credits: number | null;
}

/** How one takes part. */
export interface Me {
  state: "joined" | "left";
  pseudonym: string;
  consent: number;
  consented: string;
  consent_current: boolean;
  joined: string;
  trainings: number;
  left: number | null; // null: as many as one likes
  worth: Worth | null;
}

export interface Progress {
  waiting: number;
  goal: number;
  least: number;
  mode: "manual" | "automatic";
  minutes: number;
  failed: string; // why the last fold made no version
  due_in: number | null;
  folding: boolean;
}

export interface CallDetails extends CallCard {
  description: string;
  html: string; // sanitised by the site
  described: Partial<Described>;
  consent: { version: number; text: string; html: string; since: string } | null;
  update: { bytes: number; shapes: Record<string, number[]> } | null;
  progress: Progress | null;
  starter: { bytes: number } | null;
  test: { accepted: number; waiting: number };
  scores: ({ version: number } & Score)[];
  may_edit: boolean;
  me: Me | null;
  sent: number;
}

export interface Version {
  number: number;
  parent: number | null;
  at: string;
  scores: Record<string, number>;
  tested: number;
  updates: number;
  examples: number;
  participants: string[];
  current: boolean;
  sha256: string;
  bytes: number;
}

export type TrainingState = "training" | "lapsed" | "waiting" | "accepted" | "folded" | "refused" | "withdrawn";

/** A training and its update. */
export interface Training {
  id: string;
  state: TrainingState;
  reason: string;
  says: string;
  version: number;
  version_after: number | null;
  samples: number;
  bytes: number;
  norm: number;
  clip: number;
  noise: number;
  begun: string;
  sent: string | null;
  expires_in: number | null;
  kept: boolean;
  worth: { shapley?: number; error?: number; leave_one_out?: number; flag?: string; kept?: boolean } | null;
  who?: string; // told to the publisher
}

export interface Backbone {
  run: string;
  title: string;
  features: number;
  sha256: string;
  side: number;
  colours: string;
}

export interface Choices {
  networks: { name: string; about: string }[];
  backbones: Backbone[];
  strategies: Pick<PartChoice, "name" | "about">[];
  categories: Category[];
  usual: Omit<Described, "format" | "network" | "consent">;
}

/** What a try on drawn examples found. */
export interface Tried {
  parameters: number;
  bytes: number;
  examples: number;
  seconds: number;
  megabytes: number;
  figure: "loss" | "rmse";
  before: number;
  after: number;
  norm: number;
  described: Described;
}

/** What a publisher says of a task. */
export interface Said {
  name?: string;
  description?: string;
  category_id?: number | null;
  described?: object;
}

export const getBoard = (asked: { category: number; search: string; order: Order }): Promise<Board> =>
  get(`/calls?${new URLSearchParams({ category: String(asked.category), search: asked.search, order: asked.order })}`);
export const getChoices = (): Promise<Choices> => get("/calls/choices");
export const getCall = (id: number): Promise<CallDetails> => get(`/calls/${id}`);
/** How a network reckons (utils/nets/steps.py); null where no browser can. */
export interface HowItReckons {
  steps: Step[] | null;
  backbone: { run: string; sha256: string; steps: Step[] } | null;
}
export const getSteps = (id: number): Promise<HowItReckons> => get(`/calls/${id}/steps`);
export const getVersions = async (id: number): Promise<Version[]> => (await get<{ versions: Version[] }>(`/calls/${id}/versions`)).versions;
export const getTrainings = async (id: number): Promise<Training[]> => (await get<{ trainings: Training[] }>(`/calls/${id}/trainings`)).trainings;
export const draftCall = (said: Said): Promise<CallDetails> => change("POST", "/calls", said, true);
export const editCall = (id: number, said: Said, quiet = false): Promise<CallDetails> => change("PUT", `/calls/${id}`, said, quiet);
export const deleteCall = (id: number): Promise<{ gone: boolean }> => change("DELETE", `/calls/${id}`);
export const tryCall = (described: object): Promise<Tried> => change("POST", "/calls/try", described);
export const publishCall = (id: number): Promise<CallDetails> => change("POST", `/calls/${id}/publish`);
export const actOnCall = (id: number, action: "pause" | "resume" | "finish" | "cancel" | "fold"): Promise<CallDetails> => change("POST", `/calls/${id}/${action}`);
export const restoreVersion = (id: number, version: number): Promise<CallDetails> => change("POST", `/calls/${id}/versions/${version}/restore`);
export const joinCall = async (id: number, consent: number): Promise<Me> => (await change<{ me: Me }>("POST", `/calls/${id}/join`, { consent })).me;
export const leaveCall = async (id: number): Promise<Me> => (await change<{ me: Me }>("POST", `/calls/${id}/leave`)).me;
export const beginTraining = async (id: number, training: string, quiet = false): Promise<Training> => (await change<{ training: Training }>("POST", `/calls/${id}/trainings`, { id: training }, quiet)).training;
/** Send the update of a training; the same once more changes nothing. */
export const sendUpdate = async (id: number, training: string, about: Record<string, number>, body: Blob, quiet = false): Promise<Training> =>
  (await change<{ training: Training }>("PUT", `/calls/${id}/trainings/${training}?${new URLSearchParams(Object.entries(about).map(([key, value]) => [key, String(value)]))}`, body, quiet)).training;
export const withdrawTraining = async (id: number, training: string): Promise<Training> => (await change<{ training: Training }>("DELETE", `/calls/${id}/trainings/${training}`)).training;
/** A test example, and what became of it. */
export interface TestExample {
  id: number;
  state: "waiting" | "accepted" | "refused";
  reason: string;
  at: string;
  who: string; // empty: the publisher
  answer: number;
  values: number[]; // of a picture none
}

/** How many examples of a file are used, and what could not be. */
export interface Given {
  used: number;
  unused: [what: string, why: string][];
  unused_count: number;
}

export interface Share {
  who: string;
  state: Me["state"];
  folded: number;
  worth: Worth | null;
}

export type Contributions = { examples: TestExample[]; counts: Partial<Record<TestExample["state"], number>> };
export const getExamples = (id: number): Promise<Contributions> => get(`/calls/${id}/examples`);
export const giveExamples = (id: number, examples: ({ values: number[] } | { picture: string })[], answer: number): Promise<Contributions> =>
  change("POST", `/calls/${id}/examples`, { consent: true, examples: examples.map((one) => ({ ...one, answer })) });
export const reviewExample = (id: number, example: number, word: "accept" | "refuse", reason = ""): Promise<Contributions> => change("POST", `/calls/${id}/examples/${example}/${word}`, { reason });
export const takeBackExample = (id: number, example: number): Promise<Contributions> => change("DELETE", `/calls/${id}/examples/${example}`);
export const givePack = (id: number, what: "test" | "starter" | "cover", file: Blob): Promise<Given> => change("PUT", `/calls/${id}/${what}`, file);
export const getShares = async (id: number): Promise<Share[]> => (await get<{ shares: Share[] }>(`/calls/${id}/shares`)).shares;
/** Where the weights of a version lie. */
export const modelOf = (id: number, version: number, kind: "safetensors" | "onnx"): string => `/api/v1/calls/${id}/versions/${version}/model.${kind}`;
