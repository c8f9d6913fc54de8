// From what is typed into a form to the conf that it says, and back. Nothing here knows the page.
import type { Confs, Key, PartChoice, Value } from "./api";

/** What a conf can say, as the site tells it. */
export type Sayable = Pick<Confs, "keys" | "tasks" | "brought" | "networks">;
/** What is typed, by place; empty: left out. */
export type Given = Record<string, string | boolean>;

/** Where what is typed for a key is kept: tasks may have keys of one name. */
export const placed = (key: Key): string => (key.of ? `${key.of}.${key.key}` : key.key);
/** Where what is typed for a key of a part is kept. */
export const placeOf = (key: Key, part: PartChoice, own: Key): string => `${key.key}.${part.name}.${own.key}`;
export const NETWORK = "layers.network";

export const nameOf = (value: Value): string => (typeof value === "string" ? value : value && typeof value === "object" && !Array.isArray(value) ? String(value.name) : "");
export const chosenPart = (key: Key, given: Given): PartChoice | undefined => key.parts?.find((part) => part.name === given[key.key]);

/** The parts to choose from: first the one that is usual, then by name. */
export const partsInOrder = (key: Key): PartChoice[] =>
  [...(key.parts ?? [])].sort((a, b) => Number(b.name === nameOf(key.default)) - Number(a.name === nameOf(key.default)) || (a.name < b.name ? -1 : 1));

/** The parts that cannot be used here, and the command that changes it. */
export function absent(key: Key): { parts: string; command: string } | undefined {
  const found = key.parts?.filter((part) => part.install) ?? [];
  return found[0] && { parts: found.map((part) => part.name).join(", "), command: found[0].install };
}

/** A value as it is typed. */
export const shown = (value: Value): string | boolean => (typeof value === "boolean" ? value : typeof value === "object" ? JSON.stringify(value) : String(value));

/** JSON for people to edit: lists of objects, as layers are, line by line. */
export function laidOut(value: unknown, indent = ""): string {
  if (!value || typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (!value.some((one) => one && typeof one === "object")) return JSON.stringify(value);
    return `[\n${value.map((one) => deeper + laidOut(one, deeper)).join(",\n")}\n${indent}]`;
  }
  return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${laidOut(one, indent)}`).join(", ")}}`;
}

/** A conf as its file has it, a key a line. */
export const asFile = (conf: Record<string, unknown>): string => `{\n${Object.entries(conf).map(([key, one]) => `  ${JSON.stringify(key)}: ${laidOut(one, "  ")}`).join(",\n")}\n}\n`;

/** A network as it is typed: by its name if it has one, not at all if the task brings it. */
function shownNetwork(value: Value, usual: Value | undefined, { networks }: Sayable): string {
  const same = JSON.stringify(value);
  const name = typeof value === "string" ? value : networks.find((one) => JSON.stringify(one.whole) === same)?.name;
  return name === undefined ? laidOut(value) : name === usual ? "" : name;
}

/** What a key is where a conf of the task does not say; undefined where it has to. */
export function usualOf(key: Key, type: string, { brought }: Sayable): Value | undefined {
  return brought[type]?.[key.key] ?? (key.required || key.default === null ? undefined : key.default);
}

/** Whether a key stands in confs of this task: general ones, those of the task, and those of its network unless another is described. */
export const belongs = (key: Key, type: string, given: Given, { tasks }: Sayable): boolean =>
  !key.of || key.of === type || placed(key) === NETWORK || (key.of === tasks[type] && !given[NETWORK]);

/** What would be typed to say a conf. */
export function filled(values: Record<string, Value>, sayable: Sayable): Given {
  const given: Given = {};
  const type = nameOf(values.type ?? "");
  for (const key of sayable.keys) {
    const usual = usualOf(key, type, sayable);
    const said = belongs(key, type, given, sayable) ? values[key.key] : undefined;
    const value = said ?? usual ?? "";
    if (placed(key) === NETWORK) given[NETWORK] = shownNetwork(value, usual, sayable);
    else given[placed(key)] = key.kind === "part" ? nameOf(value) : shown(value);
    for (const part of key.kind === "part" ? (key.parts ?? []) : []) {
      const own = nameOf(value) === part.name && typeof value === "object" ? (value as Record<string, Value>) : {};
      for (const one of part.keys) given[placeOf(key, part, one)] = shown(own[one.key] ?? one.default ?? "");
    }
  }
  return given;
}

const isJson = ({ kind }: Key): boolean => kind === "lists" || kind === "parts";

/** What is typed for a key as JSON has it; undefined: it is left to what it usually is. */
export function typedValue(key: Key, typed: string | boolean, usual: Value | undefined): unknown {
  if (typed === "" || (usual !== undefined && shown(usual) === typed)) return undefined;
  if ((key.kind === "number" || key.kind === "whole") && /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(String(typed)) && Number.isFinite(Number(typed))) return Number(typed);
  if (isJson(key)) {
    try {
      return JSON.parse(String(typed));
    } catch {
      return typed; // a name, of a network say; else `fault` tells what is wrong with it
    }
  }
  return typed;
}

/** A part with those of its keys that are not as usual: its name alone where there are none. */
function said(part: PartChoice, typed: (own: Key) => string | boolean): unknown {
  const usual = (one: Key): Value | undefined => (one.required || one.default === null ? undefined : one.default);
  const own = part.keys.map((one) => [one.key, typedValue(one, typed(one), usual(one))] as const).filter(([, value]) => value !== undefined);
  return own.length ? { name: part.name, ...Object.fromEntries(own) } : part.name;
}

function partValue(key: Key, part: PartChoice, given: Given): unknown {
  const value = said(part, (own) => given[placeOf(key, part, own)] ?? "");
  return value === part.name && part.name === nameOf(key.default) ? undefined : value;
}

/** One of several parts, and what is typed for its keys. */
export interface ListedPart {
  part: PartChoice;
  given: Given;
}

/** The parts that a list of them in JSON says; what is none of them is left out. */
export function listed(key: Key, text: string): ListedPart[] {
  let values: unknown;
  try {
    values = JSON.parse(text || "[]");
  } catch {
    return [];
  }
  return (Array.isArray(values) ? (values as Value[]) : []).flatMap((value) => {
    const part = key.parts?.find((one) => one.name === nameOf(value));
    const own = value && typeof value === "object" ? (value as Record<string, Value>) : {};
    return part ? [{ part, given: Object.fromEntries(part.keys.map((one) => [one.key, shown(own[one.key] ?? one.default ?? "")])) }] : [];
  });
}

/** The same list as JSON again; nothing where it is empty, as it usually is. */
export const listText = (list: ListedPart[]): string => (list.length ? JSON.stringify(list.map((one) => said(one.part, (own) => one.given[own.key] ?? ""))) : "[]");

/** What the file says: keys that are not as usual, and those that must be there. */
export function composed(given: Given, sayable: Sayable): Record<string, unknown> {
  const said: Record<string, unknown> = {};
  const type = String(given.type ?? "");
  for (const key of sayable.keys) {
    if (!belongs(key, type, given, sayable)) continue;
    const part = chosenPart(key, given);
    const value = key.kind === "part" ? part && partValue(key, part, given) : typedValue(key, given[placed(key)] ?? "", usualOf(key, type, sayable));
    if (value !== undefined) said[key.key] = value;
  }
  return said;
}

/** Where the list or object that is typed for a key is no JSON: line and column, from 1. Engines name the place each in its own way. */
export function fault(key: Key, typed: string | boolean): { line: number; column: number } | undefined {
  if (typeof typed !== "string" || !isJson(key) || !/^\s*[[{]/.test(typed)) return undefined;
  try {
    JSON.parse(typed);
    return undefined;
  } catch (error) {
    const message = String(error);
    const told = /line (\d+) column (\d+)/.exec(message);
    if (told) return { line: Number(told[1]), column: Number(told[2]) };
    const place = /position (\d+)/.exec(message);
    const before = typed.slice(0, place ? Number(place[1]) : undefined).split("\n");
    return { line: before.length, column: before.at(-1)!.length + 1 };
  }
}
