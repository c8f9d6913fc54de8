import { describe, expect, it } from "vitest";
import { greyOf, squareOf } from "../src/home/cleaning";
import { isAnimated, kindOf } from "../src/home/still";
import said from "./cleaning.json"; // written by python3 -m tests.calls.fixture

const bytesOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** The centre square of a picture in strips of so many rows. */
function* stripsOf({ rgb, width, height }: { rgb: string; width: number; height: number }, most: number) {
  const bytes = bytesOf(rgb);
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  for (let row = 0; row < side; row += most) {
    const rows = Math.min(most, side - row);
    const data = new Uint8ClampedArray(4 * rows * side).fill(255);
    for (let at = 0; at < rows * side; at++) {
      const from = 3 * ((top + row + Math.floor(at / side)) * width + left + (at % side));
      data.set(bytes.subarray(from, from + 3), 4 * at);
    }
    yield { data, width: side, height: rows };
  }
}

describe.each(said)("the picture $name", (picture) => {
  it.each(picture.made)("is what Pillow makes of it at $side pixels in $channels channels, to the bit", ({ side, channels, pixels }) => {
    for (const rows of [7, 256]) {
      const made = squareOf(stripsOf(picture, rows), Math.min(picture.width, picture.height), { side, channels: channels as 1 | 3 });
      expect(made).toEqual(bytesOf(pixels));
    }
  });
});

it("makes of grey the same grey", () => {
  const all = Uint8Array.from({ length: 256 }, (_, value) => value);
  expect(greyOf(Uint8Array.from([...all, ...all, ...all]))).toEqual(all);
});

describe("what kind of file it is", () => {
  const letters = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
  it("is told by its first bytes", () => {
    expect(kindOf(Uint8Array.from([0, 0, 0, 24, ...letters("ftypheic")]))).toBe("heic");
    expect(kindOf(Uint8Array.from([0, 0, 0, 24, ...letters("ftypavif")]))).toBe("");
    expect(kindOf(Uint8Array.from([0xff, 0xd8]))).toBe("jpeg");
    expect(kindOf(new Uint8Array())).toBe("");
  });
  it("knows what moves, and does not fall over what is cut short", () => {
    const gif = (frames: number): Uint8Array => {
      const frame = [0x21, 0xf9, 4, 0, 0, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 1, 0];
      return Uint8Array.from([...letters("GIF89a"), 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255, ...Array.from({ length: frames }, () => frame).flat(), 0x3b]);
    };
    expect([gif(1), gif(2), gif(2).subarray(0, 20)].map(isAnimated)).toEqual([false, true, false]);
    const webp = (flags: number): Uint8Array => Uint8Array.from([...letters("RIFF0000WEBPVP8X"), 10, 0, 0, 0, flags]);
    expect([webp(2), webp(0x10)].map(isAnimated)).toEqual([true, false]);
    const chunk = (name: string, ...rest: number[]): number[] => [0, 0, 0, rest.length, ...letters(name), ...rest, 0, 0, 0, 0];
    const png = (...chunks: number[]): Uint8Array => Uint8Array.from([0x89, ...letters("PNG\r\n\x1a\n"), ...chunks]);
    expect(isAnimated(png(...chunk("IHDR", 1), ...chunk("acTL", 0, 0, 0, 2, 0, 0, 0, 0), ...chunk("IDAT", 1)))).toBe(true);
    expect(isAnimated(png(...chunk("IHDR", 1), ...chunk("IDAT", 1), ...chunk("acTL", 0, 0, 0, 2)))).toBe(false);
  });
});
