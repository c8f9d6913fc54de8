// Pictures, or files of any kind, that were dropped or chosen, folders too; each is opened when its turn comes, and says so
// when it cannot be.
import { t } from "./texts";

/** A picture to be had. `open` raises where it cannot be, and may be tried again. */
export interface Picture {
  name: string;
  folder?: string; // in which it lay
  open: () => Promise<File>;
}

export interface Found {
  pictures: Picture[];
  others: number; // files in folders that are no pictures by their names
  closed: string[]; // folders that could not be read
}

/** What of a folder is taken, by its name. */
export const ANY = /^/;
const PICTURES = /\.(jpe?g|jfif|mpo|png|webp|hei[cf]|tiff?|bmp|gif)$/i;
const inOrder = (a: Picture, b: Picture): number => a.name.localeCompare(b.name, "en", { numeric: true });
const kept = (file: File): Picture => ({ name: file.name, folder: file.webkitRelativePath?.split("/").at(-2), open: async () => file });

/** Files that were chosen one by one are all taken; of a folder's those that look like pictures. */
export function chosen(files: Iterable<File>, taken = PICTURES): Found {
  const all = [...files];
  const inside = all.filter((file) => file.webkitRelativePath);
  const pictures = inside.filter((file) => taken.test(file.name)).map(kept).sort(inOrder);
  return { pictures: [...all.filter((file) => !file.webkitRelativePath).map(kept), ...pictures], others: inside.length - pictures.length, closed: [] };
}

/** What was dropped. Its items are only there until the event is over, so they are all taken out first. */
export async function dropped(carried: DataTransfer, taken = PICTURES): Promise<Found> {
  const items = [...carried.items].filter((item) => item.kind === "file").map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found = chosen(items.filter(({ entry, file }) => file && !entry?.isDirectory).map(({ file }) => file!), taken);
  for (const { entry } of items) if (entry?.isDirectory) await walk(entry as FileSystemDirectoryEntry, found, taken);
  return found;
}

async function walk(folder: FileSystemDirectoryEntry, found: Found, taken: RegExp): Promise<void> {
  const reader = folder.createReader();
  const inside: FileSystemEntry[] = [];
  try {
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed)); // at most 100
      if (!some.length) break;
      inside.push(...some);
    }
  } catch {
    found.closed.push(folder.name);
  }
  const files = inside.filter((entry) => entry.isFile) as FileSystemFileEntry[];
  const pictures = files.filter((file) => taken.test(file.name));
  const opened = (file: FileSystemFileEntry) => (): Promise<File> => new Promise((done, failed) => file.file(done, failed));
  found.pictures.push(...pictures.map((file) => ({ name: file.name, folder: folder.name, open: opened(file) })).sort(inOrder));
  found.others += files.length - pictures.length;
  for (const entry of inside) if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, found, taken);
}

/** The picture's bytes as they are now, in memory: what happens to its file meanwhile cannot spoil what is sent. */
export async function read(picture: Picture, most = Infinity): Promise<File> {
  let file: File;
  try {
    file = await picture.open();
    if (file.size <= most) return new File([await file.arrayBuffer()], picture.name, { type: file.type });
  } catch {
    throw new Error(t("This file cannot be read: it was changed, moved or deleted after it was chosen. If it is there, choose it again."));
  }
  throw new Error(t("This photo is too large: at most {count} MB.", { count: Math.round(most / 1e6) }));
}
