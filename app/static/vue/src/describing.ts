// From what is typed into the form of a task to its description (utils/calls/described.py), and back. Nothing here knows the page.
import type { Key } from "./api";
import type { Backbone, Choices, Described, Field } from "./calls-api";
import { composed, filled, laidOut, type Given, type Sayable } from "./composing";
import type { Value } from "./network";

/** A value of an example as it is typed. */
export type Row = Record<keyof Field, string>;

export interface Typed {
  input: "picture" | "values";
  side: string;
  channels: "1" | "3";
  colours: "rgb" | "opponent";
  fields: Row[];
  answer: "label" | "number";
  labels: { name: string; hint: string }[];
  asked: Row;
  kind: "layers" | "resnet" | "backbone"; // of the network
  layers: string; // a name, or layers as JSON
  model_name: string;
  width: string;
  backbone: string;
  training: Record<keyof Described["training"], string>;
  start: "fresh" | "run";
  seed: string;
  run: string;
  strategy: Given;
  lambda: string;
  limits: Record<keyof Described["limits"], string>;
  mode: "manual" | "automatic";
  aggregation: Record<"goal" | "least" | "minutes", string>;
  keep_days: string;
  credits: boolean;
  consent: string;
}

export const newRow = (key = ""): Row => ({ key, name: "", hint: "", unit: "", low: "", high: "" });

/** The key `strategy` of confs, with those of its parts that a published task may name. */
export const strategyOf = (keys: Key[], choices: Choices): Sayable => {
  const names = new Set(choices.strategies.map((one) => one.name));
  return { keys: keys.filter((key) => key.key === "strategy").map((key) => ({ ...key, parts: key.parts?.filter((part) => names.has(part.name)) })), tasks: {}, brought: {}, networks: [] };
};

const texts = <T extends object>(values: T | undefined, usual: T): Record<keyof T, string> =>
  Object.fromEntries(Object.keys(usual).map((key) => [key, shownNumber((values?.[key as keyof T] ?? usual[key as keyof T]) as number)])) as Record<keyof T, string>;
const shownNumber = (value: unknown): string => (value === undefined || value === null ? "" : String(value));

/** A number where what is typed is one; else as it is typed, which the site then says it cannot use. */
export function numberTyped(typed: string): number | string | undefined {
  const plain = typed.trim();
  if (!plain) return undefined;
  const value = Number(plain.replace(/^[−–]/, "-"));
  return Number.isFinite(value) ? value : plain;
}
const numbers = <T extends string>(typed: Record<T, string>): Partial<Record<T, unknown>> =>
  Object.fromEntries(Object.entries<string>(typed).map(([key, one]) => [key, numberTyped(one)]).filter(([, one]) => one !== undefined)) as Partial<Record<T, unknown>>;

const isObject = (value: unknown): value is Record<string, Value> => !!value && typeof value === "object" && !Array.isArray(value);
const rowOf = (field: Partial<Field>): Row => ({
  key: field.key ?? "", name: field.name && field.name !== field.key ? field.name : "", hint: field.hint ?? "", unit: field.unit ?? "", low: shownNumber(field.low), high: shownNumber(field.high),
});

/** What would be typed to say a description, of which there may be little yet. */
export function typedOf(described: Partial<Described>, choices: Choices, strategy: Sayable): Typed {
  const { usual } = choices;
  const input = described.format?.input;
  const answer = described.format?.answer;
  const picture = input?.kind === "picture" ? input : undefined;
  const network = described.network;
  const own = isObject(network) ? network : {};
  const kind = "backbone" in own ? "backbone" : "model_name" in own ? "resnet" : "layers";
  const start = described.start ?? usual.start;
  const aggregation = { ...usual.aggregation, ...described.aggregation };
  return {
    input: input?.kind ?? "values",
    side: shownNumber(picture?.side ?? 32),
    channels: picture?.channels === 1 ? "1" : "3",
    colours: picture?.colours ?? "rgb",
    fields: input?.kind === "values" && input.fields.length ? input.fields.map(rowOf) : [newRow()],
    answer: answer?.kind ?? "label",
    labels: answer?.kind === "label" && answer.labels.length ? answer.labels.map((one) => (typeof one === "string" ? { name: one, hint: "" } : { name: one.name ?? "", hint: one.hint ?? "" })) : [{ name: "", hint: "" }, { name: "", hint: "" }],
    asked: answer?.kind === "number" ? rowOf(answer) : newRow(),
    kind,
    layers: kind === "layers" && network !== undefined ? (typeof network === "string" ? network : laidOut(network)) : (input?.kind ?? "values") === "picture" ? "small_cnn" : "mlp",
    model_name: String(own.model_name ?? "resnet18"),
    width: shownNumber(own.width ?? 16),
    backbone: String(own.backbone ?? ""),
    training: texts(described.training, usual.training),
    start: start.from,
    seed: shownNumber(start.from === "fresh" ? start.seed : 0),
    run: start.from === "run" ? (start.run ?? "") : "",
    strategy: filled({ strategy: described.strategy ?? usual.strategy }, strategy),
    lambda: shownNumber(described.lambda ?? usual.lambda),
    limits: texts(described.limits, usual.limits),
    mode: aggregation.mode,
    aggregation: { goal: shownNumber(aggregation.goal), least: shownNumber(aggregation.least), minutes: shownNumber(aggregation.minutes) },
    keep_days: shownNumber(described.keep_days ?? usual.keep_days),
    credits: described.credits ?? usual.credits,
    consent: described.consent ?? "",
  };
}

function networkOf(typed: Typed): unknown {
  if (typed.kind === "backbone") return { backbone: typed.backbone };
  if (typed.kind === "resnet") return { model_name: typed.model_name, width: numberTyped(typed.width), norm: "group" };
  if (!/^\s*[[{]/.test(typed.layers)) return typed.layers.trim();
  try {
    return JSON.parse(typed.layers) as unknown;
  } catch {
    return typed.layers; // the form says where it is wrong
  }
}

const fieldOf = (row: Row): Record<string, unknown> => {
  const { low, high, ...rest } = row;
  const plain = Object.fromEntries(Object.entries(rest).map(([key, one]) => [key, one.trim()]).filter(([key, one]) => one || key === "key"));
  return { ...plain, ...numbers({ low, high }) };
};

/** The description that is typed; a key that is left empty is left to what it usually is. */
export function describedAs(typed: Typed, strategy: Sayable): Record<string, unknown> {
  const input = typed.input === "picture"
    ? { kind: "picture", side: numberTyped(typed.side), channels: Number(typed.channels), ...(typed.channels === "3" ? { colours: typed.colours } : {}) }
    : { kind: "values", fields: typed.fields.map(fieldOf) };
  const answer = typed.answer === "label"
    ? { kind: "label", labels: typed.labels.map((one) => ({ name: one.name.trim(), ...(one.hint.trim() ? { hint: one.hint.trim() } : {}) })) }
    : { kind: "number", ...fieldOf(typed.asked) };
  return {
    format: { input, answer },
    network: networkOf(typed),
    training: numbers(typed.training),
    start: typed.start === "run" ? { from: "run", run: typed.run } : { from: "fresh", ...numbers({ seed: typed.seed }) },
    ...composed(typed.strategy, strategy),
    ...numbers({ lambda: typed.lambda }),
    limits: numbers(typed.limits),
    aggregation: { mode: typed.mode, ...numbers(typed.aggregation) },
    ...numbers({ keep_days: typed.keep_days }),
    credits: typed.credits,
    consent: typed.consent.trim(),
  };
}

/** A frozen backbone takes pictures as its run had them. */
export function fitTo(typed: Typed, backbone: Backbone | undefined): void {
  if (backbone) Object.assign(typed, { backbone: backbone.run, input: "picture", side: String(backbone.side), channels: "3", colours: backbone.colours });
}

const split = (line: string): string[] => {
  const mark = ["\t", ";", ","].find((one) => line.includes(one)) ?? ",";
  return line.split(mark).map((one) => one.trim().replace(/^"(.*)"$/, "$1").trim());
};

/** A column's name as a key: letters, digits and _, a letter first, at most 40. */
export function keyOf(name: string): string {
  const plain = name.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  const key = /^[A-Za-z]/.test(plain) ? plain : plain ? `x_${plain}` : "";
  return key.slice(0, 40);
}

/** The fields that the header line of a table names; rows below it give their ranges. The rows stay here. */
export function fieldsOf(text: string): Row[] {
  const [header = "", ...rows] = text.split(/\r?\n/).filter((line) => line.trim());
  const known = new Set<string>();
  const cells = rows.map(split);
  return split(header).map((name, at) => {
    const wanted = keyOf(name) || `field_${at + 1}`;
    let key = wanted;
    for (let number = 2; known.has(key); number++) key = `${wanted.slice(0, 36)}_${number}`;
    known.add(key);
    const values = cells.map((row) => (row[at] ?? "").trim()).filter(Boolean).map(Number).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return { ...newRow(key), name: name === key ? "" : name.slice(0, 200), ...(values.length && high > low ? { low: String(low), high: String(high) } : {}) };
  });
}

/** The place of a list, moved by `by`. */
export function moved<T>(list: T[], at: number, by: number): T[] {
  const to = at + by;
  if (to < 0 || to >= list.length) return list;
  const copy = [...list];
  copy.splice(to, 0, ...copy.splice(at, 1));
  return copy;
}

/** The places of the form that a refusal can be about: keys as the site names them. */
const PLACES = [
  "name", "description", "category_id", "format.input.side", "format.input.channels", "format.input.colours", "format.input.fields",
  "format.answer.labels", "format.answer.key", "format.answer.name", "format.answer.unit", "format.answer.low", "format.answer.high", "format.answer.hint", "format.answer",
  "network", "network.model_name", "network.width", "network.backbone",
  "training.lr", "training.momentum", "training.batch_size", "training.local_epochs", "start.from", "start.seed", "start.run", "strategy", "lambda",
  "limits.trainings", "limits.per_version", "limits.examples", "limits.counted", "limits.staleness", "limits.norm",
  "aggregation.mode", "aggregation.goal", "aggregation.least", "aggregation.minutes", "keep_days", "consent",
];

/** What was refused, and at which place of the form (empty: at none of them). */
export interface Wrong {
  at: string;
  key: string;
  says: string;
}

export function wrongAt(message: string, detail = message): Wrong {
  const key = /^(?:json\.)?([a-z_]+(?:\.[a-z_]+|\[\d+\])*)\s*[:：]/.exec(detail)?.[1] ?? "";
  const at = PLACES.filter((place) => key === place || key.startsWith(`${place}.`) || key.startsWith(`${place}[`)).sort((a, b) => b.length - a.length)[0] ?? "";
  return { at, key, says: message };
}

/** A limit for the norm of updates, ten times what was found, in two digits. */
export const suggestedNorm = (norm: number): number => (norm > 0 ? Number((10 * norm).toPrecision(2)) : 0);
