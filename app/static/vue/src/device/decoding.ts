// From a picture's file to its upright pixels, as utils/photos/cleaning.py has them, or to the reason why there are none.
import { t } from "../texts";
import { withoutStaleOrientation } from "./orientation";

export type Reason = "not a picture" | "too small" | "not a photo" | "empty file" | "too large" | "animated" | "no HEIC";

/** A file that is not used, for a reason that Python gives too. */
export class Refused extends Error {
  constructor(readonly reason: Reason) {
    super(reason);
  }
}

/** The reason in a sentence, of a file that ought to be an example of a task. */
export const saysWhy = (reason: Reason): string =>
  ({
    "not a picture": t("damaged, or in a format that this browser cannot open"),
    "too small": t("too small: at least 64 pixels a side"),
    "not a photo": t("has transparent parts"),
    "empty file": t("empty"),
    "too large": t("too large"),
    animated: t("moves: only still pictures are used"),
    "no HEIC": t("in the format HEIC, which this browser cannot open: save it as JPEG, or use Safari"),
  })[reason];

/** As in Python colour profiles change nothing, and an orientation only where it is believed. Raises Refused. */
export async function decoded(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(await withoutStaleOrientation(file), {
      imageOrientation: "from-image", // "none" is obeyed by few browsers
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Refused("not a picture");
  }
}

/** The centre square of a bitmap from above, in strips of at most so many rows: a canvas must not be too large. Raises
 * Refused, after the last one where the square is transparent. */
export function* strips(bitmap: ImageBitmap, most = Infinity): Generator<ImageData> {
  const { width, height } = bitmap;
  const side = Math.min(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = Math.min(side, most);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.globalCompositeOperation = "copy"; // nothing of the strip before shines through
  let transparent = 0;
  for (let row = 0; row < side; row += canvas.height) {
    context.drawImage(bitmap, -Math.floor((width - side) / 2), -Math.floor((height - side) / 2) - row);
    const strip = context.getImageData(0, 0, side, Math.min(canvas.height, side - row));
    for (let at = 3; at < strip.data.length; at += 4) if (strip.data[at]! < 255) transparent++;
    yield strip;
  }
  canvas.width = canvas.height = 0; // some browsers keep the memory otherwise
  if (transparent > 0.01 * side * side) throw new Refused("not a photo");
}
