// How layers are told and drawn: shapes, options, amounts; and which belong together.
import type { Layer, Network } from "./api";
import { t } from "./texts";

export const count = (number: number): string => number.toLocaleString("en");

/** Bytes as people say them. */
export function amount(bytes: number): string {
  const step = Math.min(2, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${Number((bytes / 1000 ** step).toPrecision(3))} ${["B", "kB", "MB"][step]}`;
}

export const shaped = (shape: number[]): string => shape.join(" × ");

/** What comes in. */
export const entering = ({ input, tokens }: Network): string => (tokens ? t("{shape} tokens, {count} different", { shape: shaped(input), count: count(tokens) }) : shaped(input));

/** What a layer does beside what is usual: `16, padding 1`; what each number then goes through apart. */
export const optionsOf = ({ kind, options }: Layer): string =>
  Object.entries(options)
    .filter(([name, value]) => name !== "activation" && !(name === kind && value === true))
    .map(([name, value]) => (name === kind ? String(value) : `${name} ${String(value)}`))
    .join(", ");
export const activation = ({ options }: Layer): string => String(options.activation ?? "");

export const isOutput = ({ place }: Layer): boolean => place.endsWith(".output");
/** Whether a layer is part of a residual, and of which of its ways. */
export const way = ({ place }: Layer): string => /\.(residual|shortcut)\[\d+\]$/.exec(place)?.[1] ?? "";

/** A layer that stands by itself; a residual with the layers of its two ways. */
export interface Block {
  layer: Layer;
  residual: Layer[];
  shortcut: Layer[];
}

export function blocks(layers: Layer[]): Block[] {
  const under = (place: string): Layer[] => layers.filter((one) => one.place.startsWith(`${place}[`));
  return layers.filter((one) => !way(one)).map((layer) => ({ layer, residual: under(`${layer.place}.residual`), shortcut: under(`${layer.place}.shortcut`) }));
}

/** A shape drawn into a box of 40 x 40, as paths from back to front: sheets for channels, a bar for a row of numbers, bars side by side for steps. `largest`: the longest side there is. */
export function outline(shape: number[], largest: number): string[] {
  const scaled = (size: number, most: number): number => 4 + (26 * Math.log2(1 + size)) / Math.log2(1 + Math.max(size, most));
  const sheet = (x: number, y: number, w: number, h: number): string => `M${x.toFixed(1)} ${y.toFixed(1)}h${w.toFixed(1)}v${h.toFixed(1)}h${(-w).toFixed(1)}z`;
  const [first = 1, height, width] = shape;
  if (height === undefined) {
    const tall = Math.min(36, 4 + 3.2 * Math.log2(1 + first));
    return [sheet(17, 20 - tall / 2, 6, tall)];
  }
  if (width === undefined) {
    const [long, tall] = [scaled(first, largest), Math.min(30, 4 + 3 * Math.log2(1 + height))];
    const steps = Math.min(8, first);
    return Array.from({ length: steps }, (_, step) => sheet(20 - long / 2 + (step * long) / steps, 20 - tall / 2, long / steps, tall));
  }
  const sheets = Math.min(6, 1 + Math.floor(Math.log2(first)));
  const [w, h] = [scaled(width, largest) - 2, scaled(height, largest) - 2];
  const spread = 1.8 * (sheets - 1);
  return Array.from({ length: sheets }, (_, one) => sheet(20 - w / 2 - spread / 2 + 1.8 * one, 20 - h / 2 + spread / 2 - 1.8 * one, w, h)).reverse();
}
