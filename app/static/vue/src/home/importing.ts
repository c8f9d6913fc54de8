// Examples from tables and zips, and back: as starter packs and the participant of Python have them. Nothing leaves the device.
import { strToU8, unzipSync, Zip, ZipDeflate, ZipPassThrough } from "fflate";
import Papa from "papaparse";
import type { Described, Field } from "../calls-api";
import { t } from "../texts";
import type { Example } from "./store";

export type Format = Described["format"];
/** A picture that waits to be cleaned. */
export interface Incoming {
  name: string;
  answer: number | null;
  open: () => Promise<Blob>;
}
export interface Table {
  header: string[];
  rows: string[][];
}
/** A row of a table that can be used; its number is that of a spreadsheet. */
export type NewRow = Required<Pick<Example, "name" | "values" | "answer">>;
export interface Unused {
  what: string;
  why: string;
}

const [MOST_FILES, MOST_BYTES, MOST_OF_ONE, MOST_ROWS] = [5_000, 500_000_000, 25_000_000, 100_000];
const PICTURE = /\.(jpe?g|jfif|mpo|png|webp|hei[cf]|tiff?|bmp|gif)$/i;
const ANSWERS = "answers.csv";
const UNSAID = "_unlabelled"; // a folder

export const fieldsOf = (format: Format): Field[] => (format.input.kind === "values" ? format.input.fields : []);
export const labelsOf = (format: Format): string[] => (format.answer.kind === "label" ? format.answer.labels.map((one) => one.name) : []);
export const answerKey = (format: Format): string => (format.answer.kind === "number" ? format.answer.key : "label");

/** A number within a field's range. Raises an Error that says why there is none. */
export function numberIn(text: string, field: Pick<Field, "key" | "low" | "high">): number {
  const plain = text.trim();
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
  if (Number.isNaN(value)) throw new Error(t("{key}: expected a number, found {found}", { key: field.key, found: plain.slice(0, 40) || t("nothing") }));
  if (value < field.low || value > field.high) throw new Error(t("{key}: expected {low} to {high}, found {found}", { key: field.key, low: field.low, high: field.high, found: plain.slice(0, 40) }));
  return value;
}

/** An answer as it stands in a table or calls a folder: a label's name or number, or the number. Raises an Error. */
export function answerOf(text: string, format: Format): number {
  if (format.answer.kind === "number") return numberIn(text, format.answer);
  const names = labelsOf(format);
  const plain = text.trim();
  if (names.includes(plain)) return names.indexOf(plain);
  if (/^\d{1,8}$/.test(plain) && Number(plain) < names.length) return Number(plain);
  throw new Error(t("expected one of {names}, found {found}", { names: names.join(", "), found: plain.slice(0, 40) || t("nothing") }));
}

/** A table with a header line, comma, semicolon or tab between its cells. Raises an Error. */
export function tableOf(text: string): Table {
  const plain = text.replace(/^\ufeff/, "");
  const first = plain.split("\n", 1)[0]!;
  const counts = [",", ";", "\t"].map((one) => first.split(one).length);
  const { data } = Papa.parse<string[]>(plain, { delimiter: [",", ";", "\t"][counts.indexOf(Math.max(...counts))]! });
  const [header = [], ...rows] = data;
  if (!header.some((cell) => cell.trim()) || !rows.some((row) => row.some((cell) => cell.trim()))) throw new Error(t("There is no table in it: expected a line of column names, and rows below it."));
  if (rows.length > MOST_ROWS) throw new Error(t("At most {count} rows at once.", { count: MOST_ROWS }));
  return { header: header.map((cell) => cell.trim()), rows };
}

/** The text of a file in UTF-8. Raises an Error. */
export async function textOf(file: Blob): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(t("not a table in UTF-8; save it as CSV in UTF-8"));
  }
}

/** In which column each field and the answer stand, by key or by name; -1 where that is not clear. */
export function columnsOf(header: string[], format: Format): Record<string, number> {
  const folded = header.map((cell) => cell.toLowerCase());
  const once = (all: string[], text: string): number => (all.indexOf(text) === all.lastIndexOf(text) ? all.indexOf(text) : -1);
  const answer = format.answer.kind === "number" ? format.answer : { key: "label", name: "answer" };
  return Object.fromEntries(
    [...fieldsOf(format), answer].map(({ key, name }) => [key, [once(header, key), once(folded, key.toLowerCase()), once(folded, name.toLowerCase())].find((at) => at >= 0) ?? -1]),
  );
}

/** The rows that can be used, and why others cannot. Where no answer stands, it is `otherwise`. */
export function rowsOf({ header, rows }: Table, columns: Record<string, number>, format: Format, otherwise: number | null): { rows: NewRow[]; unused: Unused[] } {
  const used: NewRow[] = [];
  const unused: Unused[] = [];
  rows.forEach((row, at) => {
    if (!row.some((cell) => cell.trim())) return;
    const name = t("row {number}", { number: at + 2 });
    try {
      if (row.length < header.length) throw new Error(t("expected {count} cells, found {found}", { count: header.length, found: row.length }));
      const values = fieldsOf(format).map((field) => numberIn(row[columns[field.key]!]!, field));
      const said = row[columns[answerKey(format)]!] ?? ""; // -1: nowhere
      used.push({ name, values, answer: said.trim() ? answerOf(said, format) : otherwise });
    } catch (fault) {
      unused.push({ what: name, why: (fault as Error).message });
    }
  });
  return { rows: used, unused };
}

/** What is in a zip: pictures with the answers that folders or answers.csv give, or a table. Raises an Error. */
export async function unzipped(file: Blob, format: Format): Promise<{ pictures: Incoming[]; table?: string; unused: Unused[] }> {
  const bytes = new Uint8Array(await whole(file));
  const members: { name: string; size: number }[] = [];
  try {
    unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        if (!name.endsWith("/")) members.push({ name, size: originalSize });
        return false;
      },
    });
  } catch {
    throw new Error(t("damaged, or no zip"));
  }
  if (members.length > MOST_FILES || members.reduce((sum, one) => sum + one.size, 0) > MOST_BYTES) {
    throw new Error(t("more than {files} files, or more than {size} MB", { files: MOST_FILES, size: MOST_BYTES / 1e6 }));
  }
  const unused: Unused[] = [];
  const seen = members.filter(({ name }) => !/(^|\/)(__MACOSX\/|\.[^/]*$)/.test(name));
  const harmless = seen.filter(({ name, size }) => {
    // eslint-disable-next-line no-control-regex
    const why = /(^|\/)\.\.(\/|$)|^\/|\\|[\x00-\x1f]/.test(name) ? t("its name leads elsewhere") : size > MOST_OF_ONE ? t("too large") : "";
    if (why) unused.push({ what: name, why });
    return !why;
  });
  const open = (name: string): Uint8Array<ArrayBuffer> => {
    const inside = unzipSync(bytes, { filter: (one) => one.name === name })[name];
    if (!inside) throw new Error(t("damaged, or no zip"));
    return inside as Uint8Array<ArrayBuffer>;
  };
  const tables = harmless.filter(({ name }) => name.toLowerCase().endsWith(".csv"));
  if (format.input.kind === "values") {
    if (tables.length !== 1) throw new Error(t("expected one table (.csv), found {count}", { count: tables.length }));
    return { pictures: [], table: await textOf(new Blob([open(tables[0]!.name)])), unused };
  }
  const listed = tables.find(({ name }) => name.split("/").pop() === ANSWERS);
  const said = listed && answersIn(await textOf(new Blob([open(listed.name)])));
  const pictures: Incoming[] = [];
  for (const { name } of harmless) {
    if (name.toLowerCase().endsWith(".csv")) continue;
    const folder = name.split("/").at(-2) ?? "";
    try {
      if (!PICTURE.test(name)) throw new Error(t("no picture by its name"));
      if (said && !said.has(name)) throw new Error(t("not in the table of answers"));
      const text = said ? said.get(name)! : folder === UNSAID ? "" : folder;
      pictures.push({ name: name.split("/").pop()!, answer: text ? answerOf(text, format) : null, open: async () => new Blob([open(name)]) });
    } catch (fault) {
      unused.push({ what: name, why: (fault as Error).message });
    }
  }
  return { pictures, unused };
}

function answersIn(text: string): Map<string, string> {
  const { header, rows } = tableOf(text);
  const [file, answer] = ["file", "answer"].map((one) => header.map((cell) => cell.toLowerCase()).indexOf(one)) as [number, number];
  if (file < 0 || answer < 0) throw new Error(t("{table}: expected the columns file and answer", { table: ANSWERS }));
  return new Map(rows.filter((row) => row[file]?.trim()).map((row) => [row[file]!.trim().replaceAll("\\", "/").replace(/^\.\//, ""), (row[answer] ?? "").trim()]));
}

async function whole(file: Blob): Promise<ArrayBuffer> {
  if (file.size > MOST_BYTES) throw new Error(t("too large"));
  return file.arrayBuffer();
}

/** All of it as a zip that this page and the participant of Python take in. */
export async function zipped(examples: Example[], format: Format): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const done = new Promise<void>((ended, failed) => {
    const archive = new Zip((fault, part, last) => {
      if (fault) return failed(fault);
      parts.push(part as Uint8Array<ArrayBuffer>);
      if (last) ended();
    });
    const add = (name: string, bytes: Uint8Array, packs: boolean): void => {
      const entry = packs ? new ZipDeflate(name) : new ZipPassThrough(name);
      archive.add(entry);
      entry.push(bytes, true);
    };
    void (async () => {
      if (format.input.kind === "values") add("examples.csv", strToU8(csvOf(examples, format)), true);
      else {
        const places = placesOf(examples, format);
        if (places.listed) add(ANSWERS, strToU8(Papa.unparse([["file", "answer"], ...examples.map((one, at) => [places.names[at]!, said(one, format)])])), true);
        for (const [at, one] of examples.entries()) add(places.names[at]!, new Uint8Array(await (one.original ?? one.picture!).arrayBuffer()), false);
      }
      archive.end();
    })().catch(failed);
  });
  await done;
  return new Blob(parts, { type: "application/zip" });
}

const said = (one: Example, format: Format): string => (one.answer === null ? "" : (labelsOf(format)[one.answer] ?? String(one.answer)));

/** Rows as a table. */
export const csvOf = (examples: Example[], format: Format): string =>
  Papa.unparse([[...fieldsOf(format).map((one) => one.key), answerKey(format)], ...examples.map((one) => [...one.values!.map(String), said(one, format)])]) + "\r\n";

/** Under which name each picture goes into a zip; `listed` where folders cannot tell the answers. */
function placesOf(examples: Example[], format: Format): { names: string[]; listed: boolean } {
  const labels = labelsOf(format);
  // eslint-disable-next-line no-control-regex
  const listed = !labels.length || labels.some((one) => /[\x00-\x1f/\\:*?"<>|]|^[._]|[. ]$/.test(one) || one !== one.trim());
  const taken = new Set<string>();
  const names = examples.map((one) => {
    const folder = listed ? "pictures" : one.answer === null ? UNSAID : labels[one.answer]!;
    // eslint-disable-next-line no-control-regex
    const plain = one.name.replace(/[\x00-\x1f/\\:*?"<>|]/g, "_").replace(/^\.+/, "_") || "picture";
    const [stem, ending] = [plain.replace(/\.[^.]*$/, ""), one.original ? (PICTURE.exec(plain)?.[0] ?? "") : ".png"];
    let name = `${folder}/${stem}${ending}`;
    for (let more = 2; taken.has(name.toLowerCase()); more++) name = `${folder}/${stem} ${more}${ending}`;
    taken.add(name.toLowerCase());
    return name;
  });
  return { names, listed };
}
