// Which photos are turned as their EXIF says: those that utils/photos/cleaning.py believes, a camera's own files.
const MAKE = 0x010f;
const ORIENTATION = 0x0112;
const DETAILS = 0x8769;
const WIDTH = 0xa002;
const HEIGHT = 0xa003;
const HEAD = 1_000_000; // bytes within which all this is looked for

/** The file as browsers should decode it: an orientation that is not believed is struck out of a JPEG or PNG. */
export async function withoutStaleOrientation(file: Blob): Promise<Blob> {
  const place = staleOrientation(await file.slice(0, HEAD).arrayBuffer());
  return place === undefined ? file : new Blob([file.slice(0, place), new Uint8Array(4), file.slice(place + 4)]);
}

/** Where in a JPEG or PNG file an orientation stands (four bytes) that is not believed; undefined when there is none. */
export function staleOrientation(bytes: ArrayBuffer): number | undefined {
  let found: number | undefined;
  try {
    const { exif, width, height } = segments(new DataView(bytes));
    if (!exif) return undefined;
    const little = exif.getUint16(0) === 0x4949;
    const first = entries(exif, exif.getUint32(4, little), little);
    const orientation = first.get(ORIENTATION);
    if (orientation === undefined) return undefined;
    found = exif.byteOffset + orientation + 8;
    const number = (entry: number): number =>
      exif.getUint16(entry + 2, little) === 3 ? exif.getUint16(entry + 8, little) : exif.getUint32(entry + 8, little);
    const details = entries(exif, number(first.get(DETAILS)!), little);
    const own = number(details.get(WIDTH)!) === width && number(details.get(HEIGHT)!) === height;
    return own && saysSomething(exif, first.get(MAKE)!, little) ? undefined : found;
  } catch {
    return found; // what is missing or damaged is not believed
  }
}

interface Parts {
  exif?: DataView;
  width?: number;
  height?: number;
}

/** Browsers pass over the block whose sum is not right any more, which is as well. */
function chunks(file: DataView): Parts {
  for (let at = 8; ; at += 12 + file.getUint32(at)) {
    const length = file.getUint32(at);
    const kind = file.getUint32(at + 4);
    if (kind === 0x65584966) return { exif: new DataView(file.buffer, at + 8, length), width: file.getUint32(16), height: file.getUint32(20) };
    if (kind === 0x49454e44) return {};
  }
}

function segments(file: DataView): Parts {
  if (file.getUint32(0) === 0x89504e47) return chunks(file);
  let exif: DataView | undefined;
  let at = file.getUint16(0) === 0xffd8 ? 2 : file.byteLength;
  for (;;) {
    const marker = file.getUint16(at);
    const length = file.getUint16(at + 2);
    if (marker < 0xffc0) return { exif };
    if (marker === 0xffff) {
      at++;
    } else if (marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) {
      return { exif, height: file.getUint16(at + 5), width: file.getUint16(at + 7) };
    } else {
      if (marker === 0xffe1 && file.getUint32(at + 4) === 0x45786966) exif ??= new DataView(file.buffer, at + 10, length - 8);
      at += 2 + length;
    }
  }
}

/** Tag to place of each entry of the directory that begins at `start`. */
const entries = (exif: DataView, start: number, little: boolean): Map<number, number> =>
  new Map(
    Array.from({ length: exif.getUint16(start, little) }, (_, number) => {
      const at = start + 2 + 12 * number;
      return [exif.getUint16(at, little), at];
    }),
  );

function saysSomething(exif: DataView, entry: number, little: boolean): boolean {
  const length = exif.getUint32(entry + 4, little);
  const place = length > 4 ? exif.getUint32(entry + 8, little) : entry + 8;
  return new Uint8Array(exif.buffer, exif.byteOffset + place, length).some((letter) => letter !== 0 && letter !== 32);
}
