// What is told of nodes: in which order, how their latest rounds went. Nothing here knows the page.
import type { Outcome, OwnersNode } from "./nodes-api";
import { t } from "./texts";

export type Group = "waiting" | "joined" | "gone";
export const groupOf = (node: OwnersNode): Group => (node.state === "waiting" || node.state === "joined" ? node.state : "gone");

/** Those of a group by name: who is online first, as they can be chosen. */
export const inGroup = (nodes: readonly OwnersNode[], group: Group): OwnersNode[] =>
  nodes.filter((node) => groupOf(node) === group).sort((a, b) => Number(!!b.online) - Number(!!a.online) || (a.name < b.name ? -1 : 1));

export interface Figures {
  asked: number;
  failed: number;
  seconds: number | undefined; // the middle of those that trained
  down: number;
  up: number;
}

export function figuresOf(rounds: readonly Outcome[]): Figures {
  const took = rounds.filter((one) => one.verb === "train" && !one.failure).map((one) => one.seconds).sort((a, b) => a - b);
  const sum = (of: (one: Outcome) => number): number => rounds.reduce((total, one) => total + of(one), 0);
  return { asked: rounds.length, failed: rounds.filter((one) => one.failure).length, seconds: took[Math.floor((took.length - 1) / 2)], down: sum((one) => one.down), up: sum((one) => one.up) };
}

export interface Bar {
  x: number;
  height: number; // of 1
  failed: boolean;
}

/** Seconds of the latest messages as bars from left to right, the newest right; failures stand out, however long they took. */
export function bars(rounds: readonly Outcome[], most = 30): Bar[] {
  const shown = rounds.slice(-most);
  const longest = Math.max(...shown.map((one) => one.seconds), 1e-9);
  return shown.map((one, place) => ({ x: most - shown.length + place, height: Math.max(0.12, one.seconds / longest), failed: !!one.failure }));
}

/** A fingerprint as people compare it: four letters at a time. */
export const grouped = (fingerprint: string): string => fingerprint.match(/.{1,4}/g)?.join(" ") ?? "";

export const verbName = (verb: string): string => ({ train: t("trained"), ask: t("was asked"), describe: t("told of its data") })[verb] ?? verb;

/** What its owner lets it tell, beside what every node tells. */
export function tellsSays({ counts, judges }: OwnersNode["tells"]): string {
  if (counts && judges) return t("Tells how many examples of each class it has, and how models do on test examples of its own.");
  if (counts) return t("Tells how many examples of each class it has, and not how models do on its own.");
  if (judges) return t("Tells how models do on test examples of its own, and not how many of each class it has.");
  return t("Tells neither its examples of each class, nor how models do on its own.");
}
