import { strToU8, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { lookOf, nearOnes, type Seen } from "../src/home/alike";
import { answerOf, columnsOf, csvOf, numberIn, rowsOf, tableOf, unzipped, zipped, type Format } from "../src/home/importing";
import type { Example } from "../src/home/store";

const field = (key: string, name = key, low = 0, high = 100) => ({ key, name, hint: "", unit: "", low, high });
const ROWS: Format = { input: { kind: "values", fields: [field("age", "Age"), field("bmi", "Body mass index")] }, answer: { kind: "number", ...field("progress", "Progress") } };
const labels = (...names: string[]): Format => ({ input: { kind: "picture", side: 16, channels: 1 }, answer: { kind: "label", labels: names.map((name) => ({ name, hint: "" })) } });
const CATS = labels("cat", "dog");

describe("a table", () => {
  it("is read whatever stands between its cells", () => {
    for (const between of [",", ";", "\t"]) {
      const text = `\ufeff${["age", "Body Mass Index", "progress"].join(between)}\r\n${["4", '"5"', "6"].join(between)}\r\n\r\n`;
      const table = tableOf(text);
      expect(table.header).toEqual(["age", "Body Mass Index", "progress"]);
      expect(rowsOf(table, columnsOf(table.header, ROWS), ROWS, null).rows).toEqual([{ name: "row 2", values: [4, 5], answer: 6 }]);
    }
  });
  it("finds columns by key, by name, and none that stands twice", () => {
    expect(columnsOf(["PROGRESS", "body mass index", "age"], ROWS)).toEqual({ age: 2, bmi: 1, progress: 0 });
    expect(columnsOf(["age", "age", "x"], ROWS)).toEqual({ age: -1, bmi: -1, progress: -1 });
  });
  it("says row by row what is not used, and why", () => {
    const table = tableOf("age,bmi,progress\n1,2,3\n\n101,2,3\n=1+1,2,3\n1,2\n1,2,\n0x1,2,3\n1e1,.5,+3");
    const { rows, unused } = rowsOf(table, columnsOf(table.header, ROWS), ROWS, null);
    expect(rows.map((one) => [one.name, one.values, one.answer])).toEqual([["row 2", [1, 2], 3], ["row 7", [1, 2], null], ["row 9", [10, 0.5], 3]]);
    expect(unused.map((one) => `${one.what}: ${one.why}`)).toEqual([
      "row 4: age: expected 0 to 100, found 101",
      "row 5: age: expected a number, found =1+1",
      "row 6: expected 3 cells, found 2",
      "row 8: age: expected a number, found 0x1",
    ]);
  });
  it("refuses what is none", () => {
    for (const text of ["", "age,bmi", "\n\n"]) expect(() => tableOf(text)).toThrow("There is no table");
    expect(() => numberIn("", field("age"))).toThrow("found nothing");
    expect(() => numberIn("Infinity", field("age"))).toThrow("expected a number");
  });
  it("comes back as it went out", () => {
    const examples = [{ values: [1.5, 2], answer: 3 }, { values: [4, 5], answer: null }] as Example[];
    const table = tableOf(csvOf(examples, ROWS));
    expect(rowsOf(table, columnsOf(table.header, ROWS), ROWS, null).rows.map(({ values, answer }) => ({ values, answer }))).toEqual(examples);
  });
});

it("an answer is a label's name before it is its number", () => {
  expect([answerOf(" dog ", CATS), answerOf("0", CATS), answerOf("0", labels("1", "0"))]).toEqual([1, 0, 1]);
  expect(() => answerOf("cow", CATS)).toThrow("expected one of cat, dog, found cow");
});

describe("a zip", () => {
  const zip = (files: Record<string, string>): Blob => new Blob([zipSync(Object.fromEntries(Object.entries(files).map(([name, text]) => [name, strToU8(text)]))) as Uint8Array<ArrayBuffer>]);
  it("tells answers by folders, and leaves out what is none", async () => {
    const found = await unzipped(zip({ "all/cat/a.png": "A", "dog/b.jpg": "B", "c.png": "C", "cow/d.png": "D", "cat/e.txt": "E", "cat/.f.png": "", "__MACOSX/cat/g.png": "", "../cat/h.png": "H", "_unlabelled/i.png": "I" }), CATS);
    expect(found.pictures.map(({ name, answer }) => [name, answer])).toEqual([["a.png", 0], ["b.jpg", 1], ["c.png", null], ["i.png", null]]);
    expect(await (await found.pictures[1]!.open()).text()).toBe("B");
    expect(found.unused.map((one) => one.what).sort()).toEqual(["../cat/h.png", "cat/e.txt", "cow/d.png"]);
  });
  it("tells them by answers.csv", async () => {
    const number: Format = { ...CATS, answer: { kind: "number", ...field("height") } };
    const found = await unzipped(zip({ "x/a.png": "A", "x/b.png": "B", "answers.csv": "file,answer\nx/a.png,7\nx/c.png,8" }), number);
    expect(found.pictures.map(({ name, answer }) => [name, answer])).toEqual([["a.png", 7]]);
    expect(found.unused).toEqual([{ what: "x/b.png", why: "not in the table of answers" }]);
  });
  it("is bounded, and whole", async () => {
    const many = Object.fromEntries(Array.from({ length: 5001 }, (_, at) => [`cat/${at}.png`, ""]));
    await expect(unzipped(zip(many), CATS)).rejects.toThrow("more than 5000 files");
    await expect(unzipped(new Blob(["PK nothing"]), CATS)).rejects.toThrow("damaged, or no zip");
    await expect(unzipped(zip({ "a.png": "" }), ROWS)).rejects.toThrow("expected one table (.csv), found 0");
  });
  it("holds what was put into it, under names of its own", async () => {
    const one = (name: string, answer: number | null, text: string, original?: string) => ({ name, answer, picture: new Blob([text]), ...(original ? { original: new Blob([original]) } : {}) }) as Example;
    const examples = [one("a.jpg", 0, "small"), one("A.jpg", 0, "other"), one("../b.jpg", 1, "small", "large"), one("c", null, "c")];
    for (const format of [CATS, labels("a/b", "c.")]) {
      const found = await unzipped(await zipped(examples, format), format);
      expect(found.unused).toEqual([]);
      expect(await Promise.all(found.pictures.map(async ({ name, answer, open }) => [name, answer, await (await open()).text()]))).toEqual([
        ["a.png", 0, "small"], ["A 2.png", 0, "other"], ["__b.jpg", 1, "large"], ["c.png", null, "c"],
      ]);
    }
    const rows = await zipped([{ values: [1, 2], answer: 3 }] as Example[], ROWS);
    expect((await unzipped(rows, ROWS)).table).toBe("age,bmi,progress\r\n1,2,3\r\n");
  });
});

describe("pictures that look alike", () => {
  const shape = { side: 32, channels: 1 } as const;
  const drawn = (of: (x: number, y: number) => number, side = 32): Uint8Array => Uint8Array.from({ length: side * side }, (_, at) => of(at % side, Math.floor(at / side)));
  const seen = (pixels: Uint8Array, of: { side: number; channels: 1 | 3 } = shape): Seen => ({ pixels, look: lookOf(pixels, of) });
  const waves = (x: number, y: number): number => 128 + 100 * Math.sin(x / 3) * Math.cos(y / 4);
  it("are found, each with the first that it looks like", () => {
    const all = [drawn(waves), drawn((x, y) => 255 - waves(x, y)), drawn((x, y) => waves(x, y) + ((x * 7 + y * 3) % 5) - 2)].map((one) => seen(one));
    expect([...nearOnes(all, shape)]).toEqual([[2, 0]]);
    expect(all[0]!.look).toMatch(/^[0-9a-f]{16}$/);
  });
  it("have the same colours, too", () => expect(nearOnes([drawn(() => 90), drawn(() => 160)].map((one) => seen(one)), shape).size).toBe(0));
  it("are the same ones where they are small", () => {
    const small = { side: 8, channels: 1 } as const;
    const all = [drawn((x) => x, 8), drawn((x) => x + (x === 7 ? 1 : 0), 8), drawn((x) => x, 8)].map((one) => seen(one, small));
    expect([...nearOnes(all, small)]).toEqual([[2, 0]]);
  });
});
