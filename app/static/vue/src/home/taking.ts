// One's trainings of a task in this browser, from its beginning to the site's word of what became of the update.
// Whatever is trained is kept before any of it is sent, and until the site has it for certain: a page that is closed at any
// moment goes on from there, and to send the same again changes nothing.
import { markRaw, reactive } from "vue";
import { patiently } from "../api";
import { beginTraining, getSteps, modelOf, sendUpdate, withdrawTraining, type CallDetails, type Described, type HowItReckons, type Training } from "../calls-api";
import { Refused, unreachable } from "../refused";
import { whose } from "../session";
import { t } from "../texts";
import type { Data, Format } from "../training/examples";
import { covered } from "../training/privacy";
import { fits, normOf, read, written, type Tensors } from "../training/tensors";
import { start, type Running } from "../training/trainer";
import type { Made, Net } from "../training/work";
import { awake, gating, onlyHere, uuid } from "./device";
import { agreed, endRound, examplesOf, keepFeatures, keepRound, note, roundOf, type Example, type Round, type Trained } from "./store";

/** `elsewhere`: another tab is at it; `others`: an update of another account is kept here. */
export type Stage = "looking" | "ready" | "elsewhere" | "others" | "fetching" | "training" | "trained" | "sending" | "waiting";

export interface Taking {
  stage: Stage;
  round?: Round;
  done: number;
  of: number;
  loss: number;
  left: number | null; // seconds, once they can be told
  resting: "" | "hidden" | "battery" | "you";
  backend: string;
  fault: string;
  told: string; // what the site made of the latest update
}

/** Why an update that was agreed is not taken now, and yet may be later; it is kept. 403: somebody else logged in meanwhile. */
const LATER = [0, 401, 403, 429, 500, 502, 503, 504];
const NOT_YET = ["paused", "consent changed", "wait for the next version"];
const isLater = ({ status, detail }: Refused): boolean => LATER.includes(status) || NOT_YET.includes(detail);
const [SOON, LATEST] = [5_000, 300_000];

/** What a training needs to know of its task at each moment. */
export function taking(number: number, call: () => CallDetails, changed: () => void) {
  const now = reactive<Taking>({ stage: "looking", done: 0, of: 0, loss: 0, left: null, resting: "", backend: "", fault: "", told: "" });
  let running: Running<Made> | undefined;
  let looking: Running<unknown> | undefined; // what a frozen network makes of examples
  let byHand = false;
  let turn = 0; // a training that was cancelled is none, wherever it is
  let again: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;

  const fail = (fault: unknown): void => {
    now.fault = says(fault);
  };
  async function settle(): Promise<void> {
    const round = await roundOf(number).catch(() => undefined);
    now.round = round && markRaw(round);
    if (round?.whose && round.whose !== whose()) now.stage = "others";
    else if (round?.trained) now.stage = round.agreed ? "waiting" : "trained";
    else now.stage = "ready";
  }

  /** Look at what is left of the time before, and go on with it. */
  async function resume(): Promise<void> {
    await settle();
    if (now.stage === "waiting") return deliver();
    if (now.stage === "ready" && now.round) return train();
  }

  /** Something was changed here, by another tab perhaps. */
  async function look(): Promise<void> {
    if (["fetching", "training", "sending"].includes(now.stage)) return;
    const was = now.stage;
    await settle();
    if (was === "elsewhere" && now.round && (!now.round.trained || now.round.agreed)) now.stage = "elsewhere";
  }

  /** Train from the present version, on all examples that have an answer. */
  async function train(): Promise<void> {
    Object.assign(now, { fault: "", told: "" });
    const alone = await onlyHere(number, async () => {
      const screen = awake();
      try {
        await trained();
        await settle();
      } catch (fault) {
        if ((fault as Error).message !== "stopped") fail(fault);
        await settle();
      } finally {
        running = undefined;
        screen();
      }
    });
    if (!alone) now.stage = "elsewhere";
  }

  async function trained(): Promise<void> {
    const mine = ++turn;
    const going = (): void => {
      if (mine !== turn) throw new Error("stopped");
    };
    Object.assign(now, { stage: "fetching", done: 0, of: 0, loss: 0, left: null, resting: "", backend: "" });
    byHand = false;
    const examples = (await examplesOf(number)).filter((one) => one.answer !== null);
    const before = await roundOf(number);
    if (before?.trained) return;
    if (examples.length < (call().described.limits?.examples ?? 1)) return; // what was begun waits for more
    const round: Round = { id: uuid(), task: number, whose: whose(), begun: false, version: call().version, at: Date.now(), agreed: false };
    if (before?.begun && before.whose === whose()) {
      // A training that a closed page left: the same, if the model is still the same.
      if (before.version === round.version) Object.assign(round, { id: before.id });
      else await withdrawTraining(number, before.id).catch(() => undefined); // it lapses by itself
    }
    const me = call().me;
    if (whose() && me?.state === "joined" && me.consent_current) {
      await note({ event: "asked", task: number, name: call().name, whose: whose(), id: round.id });
      await keepRound({ ...round, begun: true });
      try {
        const begun = await beginTraining(number, round.id);
        if (!["training", "lapsed"].includes(begun.state)) throw new Refused(409, begun.says); // taken back elsewhere
        round.version = begun.version;
      } catch (fault) {
        if (!isLater(fault as Refused)) await endRound(number);
        throw fault;
      }
      round.begun = true;
    }
    going();
    await keepRound(round);
    now.round = markRaw(round);
    const { net, backbone } = await fetched(number, round.version, call().update!.shapes);
    const described = call().described as Described;
    going();
    const data = await dataOf(examples, described.format, backbone, (work) => (looking = work));
    going();
    now.stage = "training";
    const began = performance.now();
    let rested = 0;
    let since: number | undefined;
    running = start<Made>({ kind: "train", net, format: described.format, data, hyper: described.training, seed: seedOf(round.id) }, (going) => {
      const spent = performance.now() - began - rested;
      Object.assign(now, going, { left: going.done > 2 ? ((spent / going.done) * (going.of - going.done)) / 1000 : null });
    }, (backend) => (now.backend = backend));
    const release = gating((why) => {
      const rest = byHand ? "you" : why;
      if (rest && since === undefined) since = performance.now();
      if (!rest && since !== undefined) [rested, since] = [rested + performance.now() - since, undefined];
      now.resting = rest;
      running?.pause(!!rest);
    });
    rest = release.look;
    rest();
    try {
      const { body, ...about } = await running.done;
      going();
      if ((await roundOf(number))?.id !== round.id) return; // thrown away in another tab
      const made: Trained = { body: asBody(body), samples: about.samples, steps: about.steps, loss: about.loss, norm: about.norm, clip: 0, noise: 0 };
      await keepRound({ ...round, trained: made });
    } finally {
      release.end();
    }
  }
  let rest = (): void => undefined;

  /** Agree that the update be sent, clipped and covered with noise as wished, and send it; it waits where there is no network. */
  async function agree(clip: number, noise: number, epsilon: number): Promise<void> {
    if (now.stage !== "trained") return; // pressed twice
    Object.assign(now, { stage: "sending", fault: "" });
    const alone = await onlyHere(number, async () => {
      try {
        const round = await roundOf(number);
        if (!round?.trained || round.agreed) return; // the noise is drawn once
        const sent = covered(read(await round.trained.body.arrayBuffer()), clip, noise);
        const body = clip ? asBody(written(sent)) : round.trained.body;
        const whole: Round = { ...round, whose: whose(), agreed: true, trained: { ...round.trained, body, clip, noise, norm: normOf(sent) } };
        const { samples, steps, loss, norm } = whole.trained!;
        await agreed(whole, { event: "sending", task: number, name: call().name, whose: whose(), id: round.id, version: round.version, bytes: body.size, samples, steps, norm, clip, noise, epsilon: Number.isFinite(epsilon) ? epsilon : null, ...(noise ? {} : { loss }) });
      } catch (fault) {
        fail(fault);
      }
    });
    await settle();
    if (!alone) now.stage = "elsewhere";
    else if (now.round?.agreed) await deliver(true);
  }

  /** Send what was agreed. Nobody who did not just ask for it is asked to log in. */
  async function deliver(asked = false): Promise<void> {
    clearTimeout(again);
    const alone = await onlyHere(number, async () => {
      await settle();
      if (now.stage !== "waiting") return;
      Object.assign(now, { stage: "sending", fault: "" });
      try {
        await sent(now.round!, !asked);
        tries = 0;
        await settle();
      } catch (fault) {
        fail(fault);
        await settle();
        if (now.stage === "waiting") again = setTimeout(() => void deliver(), Math.min(LATEST, SOON * 2 ** tries++));
      }
    });
    if (!alone) now.stage = "elsewhere";
    changed();
  }

  async function sent(round: Round, quiet: boolean): Promise<void> {
    const { body, samples, steps, loss, clip, noise } = round.trained!;
    try {
      if (!round.begun) {
        const begun = await beginTraining(number, round.id, quiet);
        if (begun.state === "training" && begun.version !== round.version) {
          await withdrawTraining(number, round.id).catch(() => undefined);
          throw new Refused(409, t("The model has moved on to version {number} meanwhile, so this update was not sent. Train once more.", { number: begun.version }));
        }
        await keepRound({ ...round, begun: true });
      }
      // Noise does not cover the mean loss, so it stays here where there is some.
      const about = { samples, steps, ...(noise ? {} : { loss }), ...(clip ? { clip, noise } : {}) };
      await settled(await sendUpdate(number, round.id, about, body, quiet));
    } catch (fault) {
      if (!(fault instanceof Refused) || isLater(fault)) throw fault;
      await note({ event: "outcome", task: number, name: call().name, whose: whose(), id: round.id, state: "refused", reason: fault.message });
      await endRound(number);
      throw fault;
    }
  }

  async function settled(training: Training): Promise<void> {
    await note({ event: "outcome", task: number, name: call().name, whose: whose(), id: training.id, state: training.state, reason: training.reason, version_after: training.version_after });
    await endRound(number);
    now.told = training.says;
  }

  /** Throw the update away, or end a training. */
  async function discard(): Promise<void> {
    turn++;
    running?.stop();
    looking?.stop();
    const round = await roundOf(number);
    await endRound(number);
    if (round?.begun && whose()) await withdrawTraining(number, round.id).catch(() => undefined);
    if (!["fetching", "training"].includes(now.stage)) await settle();
    changed();
  }

  return {
    now,
    resume,
    look,
    train,
    agree,
    deliver,
    discard,
    pause: (pause: boolean) => {
      byHand = pause;
      rest();
    },
    end: () => {
      clearTimeout(again);
      running?.stop();
      looking?.stop();
    },
  };
}

const asBody = (raw: Uint8Array<ArrayBuffer>): Blob => new Blob([raw], { type: "application/octet-stream" });

/** The seed of a training follows from its id, so that a repeat is equal. */
const seedOf = (id: string): number => Number.parseInt(id.slice(0, 8), 16);

/** A fault in a sentence. */
export function says(fault: unknown): string {
  if (fault instanceof Refused) return fault.message;
  const { name, message } = fault as Error;
  if (name === "QuotaExceededError") return t("This browser has no room left for it; what was there is kept. Delete something, or ask it for more room, and try again.");
  if (message === "diverged") return t("The training came to numbers that are not finite: nothing came of it. Are all values what the task asks for?");
  if (message === "none here") return t("The model of this task cannot be trained in a browser. Take part with a PC.");
  if (/no wasm|not loaded|WebAssembly|dynamically imported/i.test(message)) return t("This browser could not load what trains the model. Load the page again, or use another browser.");
  return t("That did not work here: {what}", { what: message });
}

/** The network of a version with its weights, and the frozen one below it if there is one. */
export async function fetched(number: number, version: number, shapes: Record<string, number[]>): Promise<{ net: Net; backbone?: Net & { of: string } }> {
  const how: HowItReckons = await getSteps(number);
  if (!how.steps) throw new Error("none here");
  const weights = await loaded(modelOf(number, version, "safetensors"));
  if (!fits(weights, shapes)) throw new Error(`version ${version} has other tensors than the task says`);
  const net = { steps: how.steps, weights };
  if (!how.backbone) return { net };
  const { run, sha256, steps } = how.backbone;
  return { net, backbone: { of: sha256, steps, weights: await loaded(`/api/v1/runs/${encodeURIComponent(run)}/model.safetensors`) } };
}

async function loaded(address: string): Promise<Tensors> {
  const answer = await patiently(address).catch(() => {
    throw unreachable();
  });
  if (!answer.ok) throw new Refused(answer.status, t("The site answers with the error {status}. Try again in a moment.", { status: answer.status }));
  return read(await answer.arrayBuffer());
}

/** Examples as a training takes them: as they are, or what the frozen network makes of them, which is reckoned once and kept. */
export async function dataOf(examples: Example[], format: Format, backbone?: Net & { of: string }, begun: (work: Running<unknown>) => void = () => undefined): Promise<Data> {
  const answers = Float64Array.from(examples, (one) => one.answer!);
  if (examples[0]?.values) return { inputs: Float64Array.from(examples.flatMap((one) => one.values!)), answers, features: 0 };
  if (!backbone) return { inputs: joined(examples.map((one) => one.pixels!), Uint8Array), answers, features: 0 };
  const fresh = examples.filter((one) => one.features?.of !== backbone.of);
  if (fresh.length) {
    const data: Data = { inputs: joined(fresh.map((one) => one.pixels!), Uint8Array), answers: new Float64Array(fresh.length), features: 0 };
    const work = start<Float32Array<ArrayBuffer>>({ kind: "outputs", net: backbone, format, data }, () => undefined);
    begun(work);
    const made = await work.done;
    const width = made.length / fresh.length;
    fresh.forEach((one, at) => (one.features = { of: backbone.of, values: made.slice(at * width, (at + 1) * width) }));
    await keepFeatures(fresh);
  }
  return { inputs: joined(examples.map((one) => one.features!.values), Float32Array), answers, features: examples[0]!.features!.values.length };
}

function joined<T extends Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(all: T[], kind: new (length: number) => T): T {
  const whole = new kind(all.reduce((sum, one) => sum + one.length, 0));
  all.reduce((end, one) => (whole.set(one as never, end), end + one.length), 0);
  return whole;
}
