// The header of a Windows program, read from its first bytes as utils/malware/header.py reads it; nothing else of the file is.
// Where fields stand: Microsoft's PE format, sections "MS-DOS stub", "COFF file header" and "optional header" (PE32).

type Part = "dos" | "pe"; // counted from the file's beginning, or from where it says that the PE header lies

/** Every field that is told: where it is counted from, at which byte it begins, and of how many bytes it is (little-endian). */
export const FIELDS = {
  e_magic: ["dos", 0, 2],
  e_cblp: ["dos", 2, 2],
  e_cp: ["dos", 4, 2],
  e_crlc: ["dos", 6, 2],
  e_cparhdr: ["dos", 8, 2],
  e_minalloc: ["dos", 10, 2],
  e_maxalloc: ["dos", 12, 2],
  e_ss: ["dos", 14, 2],
  e_sp: ["dos", 16, 2],
  e_csum: ["dos", 18, 2],
  e_ip: ["dos", 20, 2],
  e_cs: ["dos", 22, 2],
  e_lfarlc: ["dos", 24, 2],
  e_ovno: ["dos", 26, 2],
  e_oemid: ["dos", 36, 2],
  e_oeminfo: ["dos", 38, 2],
  e_lfanew: ["dos", 60, 4],
  Machine: ["pe", 4, 2],
  NumberOfSections: ["pe", 6, 2],
  TimeDateStamp: ["pe", 8, 4],
  PointerToSymbolTable: ["pe", 12, 4],
  NumberOfSymbols: ["pe", 16, 4],
  SizeOfOptionalHeader: ["pe", 20, 2],
  Characteristics: ["pe", 22, 2],
  Magic: ["pe", 24, 2],
  MajorLinkerVersion: ["pe", 26, 1],
  MinorLinkerVersion: ["pe", 27, 1],
  SizeOfCode: ["pe", 28, 4],
  SizeOfInitializedData: ["pe", 32, 4],
  SizeOfUninitializedData: ["pe", 36, 4],
  AddressOfEntryPoint: ["pe", 40, 4],
  BaseOfCode: ["pe", 44, 4],
  BaseOfData: ["pe", 48, 4],
  ImageBase: ["pe", 52, 4],
  SectionAlignment: ["pe", 56, 4],
  FileAlignment: ["pe", 60, 4],
  MajorOperatingSystemVersion: ["pe", 64, 2],
  MinorOperatingSystemVersion: ["pe", 66, 2],
  MajorImageVersion: ["pe", 68, 2],
  MinorImageVersion: ["pe", 70, 2],
  MajorSubsystemVersion: ["pe", 72, 2],
  MinorSubsystemVersion: ["pe", 74, 2],
  SizeOfImage: ["pe", 80, 4],
  SizeOfHeaders: ["pe", 84, 4],
  CheckSum: ["pe", 88, 4],
  Subsystem: ["pe", 92, 2],
  DllCharacteristics: ["pe", 94, 2],
  SizeOfStackReserve: ["pe", 96, 4],
  SizeOfStackCommit: ["pe", 100, 4],
  SizeOfHeapReserve: ["pe", 104, 4],
  SizeOfHeapCommit: ["pe", 108, 4],
  LoaderFlags: ["pe", 112, 4],
  NumberOfRvaAndSizes: ["pe", 116, 4],
} as const satisfies Record<string, readonly [Part, number, 1 | 2 | 4]>;

export type Field = keyof typeof FIELDS;
/** Fields as numbers, and the year of the build as the table of ClaMP reckons it. */
export type Header = Record<Field | "CreationYear", number>;

export type Reason =
  | "empty" | "too large" | "no program" | "cut" | "16-bit" | "64-bit" | "unknown" | "processor" | "console" | "driver" | "subsystem" | ".NET";

/** Why a file is not judged. */
export class NotJudged extends Error {
  constructor(readonly reason: Reason) {
    super(reason);
  }
}

const TOO_LARGE = 2 ** 31;
const FIRST = 4096; // bytes that are read; more only where the header lies further back
const DOS_BYTES = 64;
const PE_BYTES = 264; // from PE\0\0 to the end of a header with 16 directories, and a little more
const [MAGIC_END, FIXED_END, NET_ADDRESS, NET_END] = [26, 120, 232, 240]; // from PE\0\0
const [MZ, PE, WIDE, NARROW, INTEL, GUI] = [0x5a4d, 0x4550, 523, 267, 332, 2];

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const at = (view: DataView, [, place, bytes]: readonly [Part, number, 1 | 2 | 4]): number =>
  bytes === 4 ? view.getUint32(place, true) : bytes === 2 ? view.getUint16(place, true) : view.getUint8(place);

/** Where a file of this size, with these first bytes, says that its PE header lies. Raises NotJudged. */
function placeIn(first: Uint8Array, size: number): number {
  if (size >= 2 && viewOf(first).getUint16(0, true) !== MZ) throw new NotJudged("no program");
  if (size < 2) throw new NotJudged(size ? "no program" : "empty");
  if (size < DOS_BYTES) throw new NotJudged("cut");
  const place = at(viewOf(first), FIELDS.e_lfanew);
  if (place + 4 > size) throw new NotJudged("cut");
  return place;
}

/** The header in a file's first bytes and those from its PE header on, as many as there are. Raises NotJudged. */
function told(first: Uint8Array, rest: Uint8Array): Header {
  const views = { dos: viewOf(first), pe: viewOf(rest) };
  const field = (name: Field): number => at(views[FIELDS[name][0]], FIELDS[name]);
  const enough = (bytes: number): void => {
    if (rest.length < bytes) throw new NotJudged("cut");
  };
  if (views.pe.getUint32(0, true) !== PE) throw new NotJudged("16-bit");
  enough(MAGIC_END);
  if (field("Magic") === WIDE) throw new NotJudged("64-bit");
  if (field("Magic") !== NARROW) throw new NotJudged("unknown");
  if (field("Machine") !== INTEL) throw new NotJudged("processor");
  enough(FIXED_END);
  const subsystem = field("Subsystem");
  if (subsystem !== GUI) throw new NotJudged(subsystem === 3 ? "console" : subsystem === 1 ? "driver" : "subsystem");
  if (field("NumberOfRvaAndSizes") > 14) {
    enough(NET_END);
    if (views.pe.getUint32(NET_ADDRESS, true)) throw new NotJudged(".NET");
  }
  const numbers = Object.fromEntries((Object.keys(FIELDS) as Field[]).map((name) => [name, field(name)])) as Record<Field, number>;
  return { ...numbers, CreationYear: 1970 + Math.floor(Math.floor(numbers.TimeDateStamp / 86400) / 365) };
}

/** The header of a file whose bytes are all here. Raises NotJudged. */
export function headerIn(bytes: Uint8Array): Header {
  const place = placeIn(bytes, bytes.length);
  return told(bytes, bytes.subarray(place, place + PE_BYTES));
}

/** The header of a file, of which no more than that is read. Raises NotJudged, and what the browser raises where it cannot be read. */
export async function readHeader(file: Blob): Promise<Header> {
  if (file.size >= TOO_LARGE) throw new NotJudged("too large");
  const bytes = async (from: number, to: number): Promise<Uint8Array> => new Uint8Array(await file.slice(from, to).arrayBuffer());
  const first = await bytes(0, FIRST);
  const place = placeIn(first, file.size);
  const end = Math.min(place + PE_BYTES, file.size);
  return told(first, end <= first.length ? first.subarray(place, end) : await bytes(place, end));
}

/** A file that is nothing but a header with these fields at their places, zeros elsewhere. */
export function headerBytes(fields: Partial<Record<Field, number>>): Uint8Array<ArrayBuffer> {
  const all = { e_magic: MZ, Magic: NARROW, Machine: INTEL, Subsystem: GUI, e_lfanew: DOS_BYTES, ...fields };
  const bytes = new Uint8Array(Math.max(512, all.e_lfanew + PE_BYTES));
  const views: Record<Part, DataView> = { dos: viewOf(bytes), pe: viewOf(bytes.subarray(all.e_lfanew)) };
  views.pe.setUint32(0, PE, true);
  for (const name of Object.keys(FIELDS) as Field[]) {
    const [part, place, width] = FIELDS[name];
    const value = all[name] ?? 0;
    if (width === 4) views[part].setUint32(place, value, true);
    else if (width === 2) views[part].setUint16(place, value, true);
    else views[part].setUint8(place, value);
  }
  return bytes;
}
