// What the fields of a header are, and what their values mean, in a few words.
import type { Header } from "./device/header";
import { t } from "./texts";

export type Name = keyof Header;

/** What a field is. */
export const about = (name: Name): string => ({
  e_magic: t("the letters MZ, with which such files begin"),
  e_cblp: t("bytes on the last page of its DOS part"),
  e_cp: t("pages of its DOS part"),
  e_crlc: t("places that DOS would adapt"),
  e_cparhdr: t("size of the DOS header, by 16 bytes"),
  e_minalloc: t("memory that DOS would give it at least"),
  e_maxalloc: t("memory that DOS would give it at most"),
  e_ss: t("where DOS would put its stack"),
  e_sp: t("where DOS would put its stack"),
  e_csum: t("checksum of the DOS part, mostly none"),
  e_ip: t("where DOS would begin to run it"),
  e_cs: t("where DOS would begin to run it"),
  e_lfarlc: t("where a list for DOS begins"),
  e_ovno: t("number of an overlay, of DOS"),
  e_oemid: t("of the maker, of DOS"),
  e_oeminfo: t("of the maker, of DOS"),
  e_lfanew: t("where the header for Windows begins"),
  Machine: t("processor it is for"),
  NumberOfSections: t("parts of the file, such as code and data"),
  TimeDateStamp: t("when it was built, as the file says"),
  CreationYear: t("year of that date, in years of 365 days"),
  PointerToSymbolTable: t("names for debugging, of old tools"),
  NumberOfSymbols: t("names for debugging, of old tools"),
  SizeOfOptionalHeader: t("bytes of the third header"),
  Characteristics: t("what kind of file it is"),
  Magic: t("kind of the third header"),
  MajorLinkerVersion: t("version of the linker that built it"),
  MinorLinkerVersion: t("its second number"),
  SizeOfCode: t("bytes of code"),
  SizeOfInitializedData: t("bytes of data in the file"),
  SizeOfUninitializedData: t("bytes of data that begin as zeros"),
  AddressOfEntryPoint: t("where in memory it begins to run"),
  BaseOfCode: t("where in memory its code begins"),
  BaseOfData: t("where in memory its data begin"),
  ImageBase: t("where in memory it would like to lie"),
  SectionAlignment: t("in memory, parts begin at multiples of it"),
  FileAlignment: t("in the file, parts begin at multiples of it"),
  MajorOperatingSystemVersion: t("Windows that it is made for"),
  MinorOperatingSystemVersion: t("its second number"),
  MajorImageVersion: t("its own version, as its maker says"),
  MinorImageVersion: t("its second number"),
  MajorSubsystemVersion: t("Windows that it needs"),
  MinorSubsystemVersion: t("its second number"),
  SizeOfImage: t("bytes that it takes in memory"),
  SizeOfHeaders: t("bytes of all headers"),
  CheckSum: t("checksum of the file"),
  Subsystem: t("what Windows prepares for it"),
  DllCharacteristics: t("how it lets itself be protected"),
  SizeOfStackReserve: t("room for the stack, kept free"),
  SizeOfStackCommit: t("room for the stack, at once"),
  SizeOfHeapReserve: t("room for the heap, kept free"),
  SizeOfHeapCommit: t("room for the heap, at once"),
  LoaderFlags: t("no longer used"),
  NumberOfRvaAndSizes: t("tables that follow, as a rule 16"),
})[name];

const KINDS: [bit: number, says: () => string][] = [
  [0x0001, () => t("cannot be moved in memory")],
  [0x0002, () => t("can be run")],
  [0x0020, () => t("may use more than 2 GB")],
  [0x0100, () => t("32-bit")],
  [0x0200, () => t("nothing for debugging")],
  [0x1000, () => t("a part of Windows")],
  [0x2000, () => t("a library (DLL)")],
];
const PROTECTIONS: [bit: number, says: () => string][] = [
  [0x0040, () => t("lies elsewhere each time (ASLR)")],
  [0x0080, () => t("must be signed")],
  [0x0100, () => t("data is never run (DEP)")],
  [0x0400, () => t("no handlers of exceptions")],
  [0x4000, () => t("guarded jumps (CFG)")],
  [0x8000, () => t("knows terminal servers")],
];
const flags = (value: number, known: typeof KINDS): string => known.filter(([bit]) => value & bit).map(([, says]) => says()).join(t("; ")) || t("nothing of note");
const day = (seconds: number): string => (seconds ? new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ") + " UTC" : t("none"));

/** What a value of a field means, where that is worth a word. */
export function means(name: Name, value: number): string {
  switch (name) {
    case "Machine":
      return t("Intel, 32-bit");
    case "Magic":
      return t("32-bit (PE32)");
    case "Subsystem":
      return t("windows (GUI), or a library");
    case "TimeDateStamp":
      return day(value);
    case "Characteristics":
      return flags(value, KINDS);
    case "DllCharacteristics":
      return flags(value, PROTECTIONS);
    case "AddressOfEntryPoint":
    case "CheckSum":
      return value ? "" : t("none");
    default:
      return "";
  }
}

const IN_HEX = new Set<Name>([
  "e_magic", "e_lfanew", "Machine", "TimeDateStamp", "PointerToSymbolTable", "Characteristics", "Magic", "AddressOfEntryPoint", "BaseOfCode", "BaseOfData",
  "ImageBase", "SectionAlignment", "FileAlignment", "SizeOfCode", "SizeOfInitializedData", "SizeOfUninitializedData", "SizeOfImage", "SizeOfHeaders", "CheckSum",
  "DllCharacteristics", "SizeOfStackReserve", "SizeOfStackCommit", "SizeOfHeapReserve", "SizeOfHeapCommit", "LoaderFlags",
]);
/** A value in hexadecimal digits, where people write it so. */
export const inHex = (name: Name, value: number): string => (IN_HEX.has(name) ? `0x${value.toString(16).toUpperCase()}` : "");
/** Years and versions have no thousands. */
export const inDigits = (name: Name, value: number): string => (name === "CreationYear" ? `${value}` : value.toLocaleString("en"));
