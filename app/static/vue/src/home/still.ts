// Whether a file holds one still picture, and in which format, by its first bytes. Browsers show of others the first frame.
type Kind = "jpeg" | "png" | "webp" | "gif" | "heic" | "";

const text = (bytes: Uint8Array, from: number, length: number): string => String.fromCharCode(...bytes.subarray(from, from + length));

export function kindOf(bytes: Uint8Array): Kind {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  if (text(bytes, 1, 3) === "PNG") return "png";
  if (text(bytes, 8, 4) === "WEBP") return "webp";
  if (text(bytes, 0, 3) === "GIF") return "gif";
  return text(bytes, 4, 4) === "ftyp" && /^(hei[cfmsx]|hev[cx]|mif1|msf1)$/.test(text(bytes, 8, 4)) ? "heic" : "";
}

/** Whether a PNG, WEBP or GIF file has several frames. */
export function isAnimated(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (kindOf(bytes)) {
    case "png":
      for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
        const chunk = text(bytes, at + 4, 4);
        if (chunk === "acTL") return at + 12 <= bytes.length && view.getUint32(at + 8) > 1;
        if (chunk === "IDAT") return false;
      }
      return false;
    case "webp":
      return text(bytes, 12, 4) === "VP8X" && (bytes[20]! & 2) !== 0;
    case "gif":
      return framesOf(bytes) > 1;
    default:
      return false;
  }
}

/** A GIF is blocks: extensions (0x21) and frames (0x2c), each ending in a row of parts that begin with their length. */
function framesOf(bytes: Uint8Array): number {
  const tableOf = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let frames = 0;
  let at = 13 + tableOf(bytes[10]!);
  while (at < bytes.length && frames < 2) {
    if (bytes[at] === 0x2c) {
      frames++;
      at += 11 + tableOf(bytes[at + 9]!);
    } else if (bytes[at] === 0x21) at += 2;
    else break;
    while (bytes[at]) at += bytes[at]! + 1;
    at++;
  }
  return frames;
}
