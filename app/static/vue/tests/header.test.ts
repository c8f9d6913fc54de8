import { describe, expect, it } from "vitest";
import { FIELDS, headerBytes, headerIn, NotJudged, readHeader, type Field, type Header, type Reason } from "../src/device/header";
import { seeded } from "../src/training/chance";

const CHANGED = Number(import.meta.env.VITE_HEADERS ?? 2000); // headers changed by chance; more of them in make soak
const REASONS: Reason[] = ["empty", "too large", "no program", "cut", "16-bit", "64-bit", "unknown", "processor", "console", "driver", "subsystem", ".NET"];
const NAMES = Object.keys(FIELDS) as Field[];
/** Every field with a number of its own that fits into it, of a program with windows. */
const WHOLE = Object.fromEntries(NAMES.map((name, at) => [name, FIELDS[name][2] === 1 ? at : FIELDS[name][2] === 2 ? 500 + at : 4_000_000_000 + at])) as Record<Field, number>;
Object.assign(WHOLE, { e_magic: 0x5a4d, e_lfanew: 240, Magic: 267, Machine: 332, Subsystem: 2, NumberOfRvaAndSizes: 16, TimeDateStamp: 1_300_000_000 });

function reasonIn(bytes: Uint8Array): Reason | Header {
  try {
    return headerIn(bytes);
  } catch (fault) {
    if (!(fault instanceof NotJudged)) throw fault;
    return fault.reason;
  }
}
const reasonOf = (file: Blob): Promise<Reason | Header> =>
  readHeader(file).catch((fault: unknown) => {
    if (!(fault instanceof NotJudged)) throw fault;
    return fault.reason;
  });
/** A file of any size that begins with these bytes, and how many of it were read. */
function huge(size: number, bytes: Uint8Array): { file: Blob; read: () => number } {
  let read = 0;
  const slice = (start: number, end: number): Blob => {
    const part = new Uint8Array(Math.min(end, size) - start);
    part.set(bytes.subarray(start, end));
    read += part.length;
    return new Blob([part]);
  };
  return { file: { size, slice } as unknown as Blob, read: () => read };
}

describe("a header", () => {
  it("is told field by field as it was written", () => {
    expect(headerIn(headerBytes(WHOLE))).toEqual({ ...WHOLE, CreationYear: 1970 + Math.floor(Math.floor(1_300_000_000 / 86400) / 365) });
  });
  it("has its fields where Microsoft says that they are", () => {
    const bytes = headerBytes(WHOLE);
    const view = new DataView(bytes.buffer);
    const [file, optional] = [240 + 4, 240 + 24];
    expect(view.getUint16(file + 18, true)).toBe(WHOLE.Characteristics);
    expect(view.getUint8(optional + 3)).toBe(WHOLE.MinorLinkerVersion);
    expect(view.getUint32(optional + 28, true)).toBe(WHOLE.ImageBase);
    expect(view.getUint16(optional + 50, true)).toBe(WHOLE.MinorSubsystemVersion);
    expect(view.getUint32(optional + 92, true)).toBe(16);
  });
  it.each<[Reason, Partial<Record<Field, number>>]>([
    ["no program", { e_magic: 0x4b50 }],
    ["64-bit", { Magic: 523 }],
    ["64-bit", { Magic: 523, Machine: 34404, Subsystem: 3 }],
    ["unknown", { Magic: 263 }],
    ["processor", { Machine: 448 }],
    ["console", { Subsystem: 3 }],
    ["driver", { Subsystem: 1 }],
    ["subsystem", { Subsystem: 10 }],
  ])("is refused as %s", (reason, fields) => {
    expect(reasonIn(headerBytes({ ...WHOLE, ...fields }))).toBe(reason);
  });
  it("is refused where there is none", () => {
    expect(reasonIn(new Uint8Array())).toBe("empty");
    expect(reasonIn(new TextEncoder().encode("M"))).toBe("no program");
    expect(reasonIn(new TextEncoder().encode("MZ"))).toBe("cut");
    expect(reasonIn(new TextEncoder().encode("a letter"))).toBe("no program");
    const old = headerBytes(WHOLE);
    old.set(new TextEncoder().encode("NE"), 240);
    expect(reasonIn(old)).toBe("16-bit");
  });
  it("of .NET is one whose fifteenth directory lies somewhere", () => {
    const bytes = headerBytes(WHOLE);
    const view = new DataView(bytes.buffer);
    view.setUint32(240 + 24 + 96 + 112, 1, true);
    expect(reasonIn(bytes)).toBe(".NET");
    view.setUint32(240 + 24 + 92, 14, true); // so few directories that it is none of them
    expect(reasonIn(bytes)).toHaveProperty("Subsystem", 2);
  });
  it("cut off at any byte is said to be so, until nothing needed is missing", () => {
    for (const [count, needed] of [[16, 240 + 24 + 216], [14, 240 + 24 + 96]] as const) {
      const bytes = headerBytes({ ...WHOLE, NumberOfRvaAndSizes: count });
      for (let length = 2; length < needed; length++) expect(reasonIn(bytes.slice(0, length)), `${length}`).toBe("cut");
      for (let length = needed; length <= bytes.length; length++) expect(reasonIn(bytes.slice(0, length)), `${length}`).toHaveProperty("Magic", 267);
    }
  });
  it("may lie over the first one", () => {
    const bytes = new Uint8Array(512);
    bytes.set(headerBytes({ ...WHOLE, e_lfanew: 64 }).subarray(64, 64 + 264), 4);
    new DataView(bytes.buffer).setUint16(0, 0x5a4d, true);
    new DataView(bytes.buffer).setUint32(60, 4, true); // e_lfanew and SectionAlignment share their bytes
    expect(reasonIn(bytes)).toMatchObject({ e_lfanew: 4, SectionAlignment: 4, ImageBase: WHOLE.ImageBase, e_cblp: 0, e_cp: 0x4550 });
  });
  it("may begin beyond the end", () => {
    for (const place of [509, 512, 0x7fffffff, 0xffffffff]) {
      const bytes = headerBytes({ ...WHOLE, e_lfanew: 64 });
      new DataView(bytes.buffer).setUint32(60, place, true);
      expect(reasonIn(bytes)).toBe("cut");
    }
  });
});

describe("of a file", () => {
  it("no more than its header is read, wherever that lies", async () => {
    const near = huge(1_000_000_000, headerBytes(WHOLE));
    expect(await reasonOf(near.file)).toHaveProperty("e_lfanew", 240);
    expect(near.read()).toBe(4096);
    const far = huge(2 ** 31 - 1, headerBytes({ ...WHOLE, e_lfanew: 1_500_000 }));
    expect(await reasonOf(far.file)).toMatchObject({ e_lfanew: 1_500_000, SizeOfImage: WHOLE.SizeOfImage });
    expect(far.read()).toBe(4096 + 264);
  });
  it("of 2 GiB nothing is read", async () => {
    const { file, read } = huge(2 ** 31, headerBytes(WHOLE));
    expect(await reasonOf(file)).toBe("too large");
    expect(read()).toBe(0);
  });
  it("the same is told as of its bytes, with a header over the edge of what is read first", async () => {
    for (const place of [64, 3900, 4000, 4095, 4096, 5000]) {
      const bytes = headerBytes({ ...WHOLE, e_lfanew: place });
      for (const length of [bytes.length, place + 240, place + 239, place + 120, place + 30, place + 4, place + 3, 64, 63, 1, 0])
        expect(await reasonOf(new Blob([bytes.slice(0, length)])), `${place} ${length}`).toEqual(reasonIn(bytes.slice(0, length)));
    }
  });
});

describe("of headers changed by chance", () => {
  it("every one is told in numbers or refused with a reason, and each way in agrees", async () => {
    const draw = seeded(20);
    const whole = (below: number): number => Math.floor(draw() * below);
    const seen = new Set<string>();
    for (let round = 0; round < CHANGED; round++) {
      const bytes = headerBytes({ ...WHOLE, e_lfanew: [64, 240, 1000, 4000][whole(4)]! });
      const view = new DataView(bytes.buffer);
      for (let change = whole(6); change > 0; change--) {
        const near = view.getUint32(60, true) < bytes.length ? view.getUint32(60, true) : 0;
        bytes[(whole(2) ? near + whole(264) : whole(68)) % bytes.length] = [0, 1, 255, whole(256)][whole(4)]!;
      }
      const cut = whole(4) ? bytes : bytes.slice(0, whole(bytes.length));
      const said = reasonIn(cut);
      expect(await reasonOf(new Blob([cut]))).toEqual(said);
      if (typeof said === "string") expect(REASONS).toContain(said);
      else for (const name of [...NAMES, "CreationYear"] as const) expect(Number.isSafeInteger(said[name])).toBe(true);
      seen.add(typeof said === "string" ? said : "a header");
    }
    expect([...seen]).toEqual(expect.arrayContaining(["a header", "no program", "cut", "16-bit", "unknown", "processor", ".NET"]));
  }, 500_000);
});
