// What the page about programs asks the site for; the shapes are those of /api/v1/openapi.json. Nothing of a program is sent.
import { get } from "./api";
import type { Field, Header, Reason } from "./device/header";
import type { Verdict } from "./device/programs";
import { t } from "./texts";

/** A feature, and what there was of it in what the models learnt from; `values` where these were few. */
export interface Seen {
  name: keyof Header;
  low: number;
  high: number;
  values: number[] | null;
}

/** What a new program may expect; see app/detect/schemas.py. */
export interface Tested {
  sources: string[];
  elsewhere: boolean;
  answers: number;
  answered: number;
  right: number | null;
  false_alarms: number | null;
  missed: number | null;
}

export interface Model {
  role: string;
  run: string;
  title: string;
  onnx: string; // address
  bytes: number;
  parameters: number;
  temperature: number;
  low: number;
  high: number;
  tested: Tested[];
  wheels: { malware: number; benign: number; unsure: number } | null; // what it called benign programs of another source
}

/** A program known to be benign, by its header. */
export interface Launcher {
  file: string;
  package: string;
  version: string;
  sha256: string;
  bytes: number;
  fields: Partial<Record<Field, number>>;
}

export const getDetectors = (): Promise<{ features: Seen[]; models: Model[]; launchers: Launcher[] }> => get("/detect/models");

/** Features of a header that were never seen so in what the models learnt from. */
export const unseen = (header: Header, features: readonly Seen[]): Seen[] =>
  features.filter(({ name, low, high, values }) => (values ? !values.includes(header[name]) : header[name] < low || header[name] > high));

export type Refusal = Reason | "unreadable";
export type Answer = Verdict["answer"] | "refused";

/** A file and what became of it. */
export interface Judged {
  id: number;
  name: string;
  bytes: number;
  known?: Launcher; // that it is benign
  reason?: Refusal; // why it is not judged
  header?: Header;
  unseen: Seen[];
  verdicts: Record<string, Verdict>; // by role; none where there is no model
}

/** What a model says, in careful words. */
export const saying = (answer: Answer): string => ({
  malware: t("Looks like the malware it learnt from"),
  benign: t("Looks like the benign programs it learnt from"),
  unsure: t("Cannot tell"),
  refused: t("Not judged"),
})[answer];

/** Why a file is not judged, as utils/malware/header.py says it. */
export const refusal = (reason: Refusal): string => ({
  empty: t("The file is empty."),
  "too large": t("The file has 2 GiB or more, and is not read."),
  "no program": t("Not a Windows program: it does not start with the letters MZ."),
  cut: t("The file ends before its header does."),
  "16-bit": t("A program for DOS or 16-bit Windows: it has no header of the kind that is judged."),
  "64-bit": t("A 64-bit program: all malware that was learnt from is 32-bit, so this cannot be judged."),
  unknown: t("Its header is neither that of a 32-bit nor that of a 64-bit program."),
  processor: t("A 32-bit program for another processor than Intel's: no such malware was learnt from."),
  console: t("A console program: hardly any malware that was learnt from is one, so this cannot be judged."),
  driver: t("A driver: hardly any malware that was learnt from is one, so this cannot be judged."),
  subsystem: t("Neither a program with windows nor a console program nor a driver: no such malware was learnt from."),
  ".NET": t("A .NET program: what it does lies behind a header that is much the same in all of them."),
  unreadable: t("This file cannot be read: it was changed, moved or deleted after it was chosen. If it is there, choose it again."),
})[reason];

/** A probability as people say it: nothing is certain. */
export const percent = (share: number): string => (share < 0.005 ? "< 1 %" : share > 0.995 ? "> 99 %" : `${Math.round(100 * share)} %`);
/** A share that was measured; none where there was nothing to take it of. */
export const measured = (share: number | null): string => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);
