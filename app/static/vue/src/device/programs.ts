// Programs judged on this device by their headers, as utils/malware/predictor.py judges them; nothing of them goes anywhere.
import type { Header } from "./header";
import { breath, differences, opened, probabilityOf, type Opened } from "./runtime";

interface HowItJudges {
  onnx: string; // address
  temperature: number;
  low: number;
  high: number;
}

export interface Verdict {
  answer: "malware" | "benign" | "unsure";
  probability: number; // of malware
  spoke: Float32Array; // by feature, positive where it spoke for malware; empty where the network cannot tell
}

const AT_ONCE = 256;

/** What a probability of malware is called. */
export function answerOf(probability: number, { low, high }: Pick<HowItJudges, "low" | "high">): Verdict["answer"] {
  if (probability >= high) return "malware";
  return probability <= low ? "benign" : "unsure";
}

/** A model on this device, which judges by `features`, in this order. */
export class Judge {
  private constructor(
    private readonly model: HowItJudges,
    private readonly features: readonly (keyof Header)[],
    private readonly network: Opened,
  ) {}

  static async load(model: HowItJudges, features: readonly (keyof Header)[]): Promise<Judge> {
    return new Judge(model, features, await opened(model.onnx));
  }

  /** What it says of each header; any number of them. */
  async judge(headers: readonly Header[]): Promise<Verdict[]> {
    const said: Verdict[] = [];
    for (let from = 0; from < headers.length; from += AT_ONCE) said.push(...(await this.some(headers.slice(from, from + AT_ONCE))));
    return said;
  }

  private async some(headers: readonly Header[]): Promise<Verdict[]> {
    await breath();
    const width = this.features.length;
    const numbers = Float32Array.from(headers.flatMap((header) => this.features.map((name) => header[name])));
    const { logits, spoke } = await this.network.run("header", numbers, [headers.length, width]);
    return differences(logits!).map((margin, at) => {
      const probability = probabilityOf(margin, this.model.temperature);
      return { answer: answerOf(probability, this.model), probability, spoke: spoke?.slice(at * width, (at + 1) * width) ?? new Float32Array() };
    });
  }
}
