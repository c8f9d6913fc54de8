import "fake-indexeddb/auto";
import { Blob as Whole } from "node:buffer";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CallDetails } from "../src/calls-api";
import { keep, keepRound, ledger, roundOf, type Round } from "../src/home/store";
import { taking } from "../src/home/taking";
import { written } from "../src/training/tensors";

const weights = written(new Map([["w", { shape: [1, 1], values: Float32Array.of(2) }], ["b", { shape: [1], values: Float32Array.of(0) }]]));
const worker = vi.hoisted(() => ({ start: vi.fn() }));
vi.mock("../src/training/trainer", () => ({ start: worker.start, fetching: [] }));

/** What the site answers by method and end of path; a number is a refusal with that status, a text one for now, undefined no answer at all. */
let site: Record<string, () => unknown>;
let asked: string[];
const answered = (address: string, { method = "GET" }: RequestInit = {}): Promise<unknown> => {
  const path = address.replace(/^.*\/calls\/\d+/, "").replace(/\?.*/, "");
  const id = path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "ID");
  asked.push(`${method} ${id}`);
  const made = site[`${method} ${id}`]?.();
  if (made === undefined) return Promise.reject(new TypeError("no network"));
  const [status, detail] = typeof made === "number" ? [made, ""] : typeof made === "string" ? [409, made] : [200, ""];
  return Promise.resolve({ ok: status < 400, status, headers: new Headers(), json: () => Promise.resolve(status < 400 ? made : { error: { message: `refused ${status}`, detail } }), arrayBuffer: () => Promise.resolve((made as Uint8Array).slice().buffer) });
};

let number = 100; // another task for each test
let call: CallDetails;
const round = (more: Partial<Round> = {}): Round => ({ id: "11111111-1111-4111-8111-111111111111", task: number, whose: "", begun: false, version: 1, at: 0, agreed: false, ...more });
const trained = { body: new Whole([weights]) as unknown as Blob, samples: 3, steps: 6, loss: 0.5, norm: 2, clip: 0, noise: 0 };
const logIn = (account: string): void => void (document.head.innerHTML = `<meta name="whose" content="${account}"><meta name="csrf-token" content="t">`);
const take = (): ReturnType<typeof taking> => taking(number, () => call, () => undefined);
const taken = { training: { id: "ID", state: "waiting", reason: "", version_after: null, says: "It waits." } };

beforeEach(async () => {
  number++;
  asked = [];
  vi.stubGlobal("Blob", Whole);
  vi.stubGlobal("fetch", answered);
  logIn("");
  call = {
    name: "rows", version: 1, update: { shapes: { w: [1, 1], b: [1] } }, me: null,
    described: { format: { input: { kind: "values", fields: [{ low: 0, high: 1 }] }, answer: { kind: "label", labels: [{}, {}] } }, training: { lr: 1, momentum: 0, batch_size: 2, local_epochs: 1 }, limits: { examples: 1 } },
  } as never;
  site = {
    "GET /steps": () => ({ steps: [{ do: "dense", weight: "w", bias: "b" }], backbone: null }),
    "GET /versions/1/model.safetensors": () => weights,
    "POST /trainings": () => ({ training: { state: "training", version: 1 } }),
    "PUT /trainings/ID": () => taken,
    "DELETE /trainings/ID": () => taken,
  };
  worker.start.mockReset().mockImplementation(() => ({ done: Promise.resolve({ body: weights, samples: 1, steps: 6, loss: 0.5, norm: 2, backend: "plain" }), pause: () => undefined, stop: () => undefined }));
  await keep(number, [{ at: 0, name: "one", answer: 1, values: [0.5] }, { at: 0, name: "unsaid", answer: null, values: [0.1] }]);
});
afterEach(() => vi.unstubAllGlobals());

const events = async (): Promise<unknown[]> => (await ledger()).filter((line) => line.task === number).map((line) => [line.event, line.state].filter(Boolean).join(" "));

describe("taking part in a browser", () => {
  it("begins with nothing, and trains what has an answer without telling the site", async () => {
    const one = take();
    await one.resume();
    expect([one.now.stage, asked]).toEqual(["ready", []]);
    await one.train();
    expect(one.now.stage).toBe("trained");
    expect(one.now.round!.trained).toMatchObject({ samples: 1, norm: 2 });
    expect(worker.start.mock.calls[0]![0].data.answers).toEqual(Float64Array.of(1));
    expect(asked).toEqual(["GET /steps", "GET /versions/1/model.safetensors"]);
    expect((await roundOf(number))!.agreed).toBe(false);
  });
  it("goes on with a training that a closed page left", async () => {
    await keepRound(round({ whose: "5", begun: true }));
    logIn("5");
    call = { ...call, me: { state: "joined", consent_current: true } } as never;
    const one = take();
    await one.resume();
    expect(one.now.stage).toBe("trained");
    expect((await roundOf(number))!.id).toBe(round().id); // the place it held, and by its seed the same batches
    expect(worker.start.mock.calls[0]![0].seed).toBe(0x11111111);
    expect(asked).toContain("POST /trainings");
    expect(await events()).toEqual(["asked"]);
  });
  it("shows what was trained, and sends nothing of it unasked", async () => {
    await keepRound(round({ trained }));
    const one = take();
    await one.resume();
    expect([one.now.stage, asked, worker.start.mock.calls.length]).toEqual(["trained", [], 0]);
  });
  it("keeps what was agreed where there is no network, and sends the same when there is", async () => {
    logIn("5");
    await keepRound(round({ trained }));
    const [sends, bodies] = [site["PUT /trainings/ID"]!, [] as unknown[]];
    vi.stubGlobal("fetch", (address: string, settings: RequestInit = {}) => {
      if (settings.body instanceof Whole) bodies.push((settings.body as Blob).arrayBuffer().then((raw) => new Uint8Array(raw)));
      return answered(address, settings);
    });
    site["PUT /trainings/ID"] = () => undefined;
    const one = take();
    await one.resume();
    await one.agree(1, 0.5, 24.4);
    expect([one.now.stage, one.now.fault]).toEqual(["waiting", expect.stringContaining("cannot be reached")]);
    one.end();
    const [next, kept] = [take(), (await roundOf(number))!];
    expect(kept).toMatchObject({ agreed: true, begun: true, whose: "5", trained: { clip: 1, noise: 0.5 } });
    site["PUT /trainings/ID"] = sends;
    await next.resume();
    expect([next.now.stage, next.now.told]).toEqual(["ready", "It waits."]);
    expect(await roundOf(number)).toBeUndefined();
    expect(await events()).toEqual(["sending", "outcome waiting"]);
    const [first, second] = await Promise.all(bodies);
    expect(second).toEqual(first);
    expect(first).not.toEqual(weights);
    expect(asked.filter((one) => one === "POST /trainings")).toHaveLength(1);
  });
  it("sends nothing when the model has moved on, and says so", async () => {
    logIn("5");
    await keepRound(round({ trained }));
    site["POST /trainings"] = () => ({ training: { state: "training", version: 2 } });
    const one = take();
    await one.resume();
    await one.agree(0, 0, Infinity);
    expect([one.now.stage, one.now.fault]).toEqual(["ready", expect.stringContaining("version 2")]);
    expect(asked).toEqual(["POST /trainings", "DELETE /trainings/ID"]);
    expect(await events()).toEqual(["sending", "outcome refused"]);
  });
  it("takes a refusal for the end of an update, an overload not", async () => {
    logIn("5");
    site["GET /session"] = () => ({ who: "5", token: "t" });
    for (const [status, stage] of [[503, "waiting"], [401, "waiting"], [403, "waiting"], ["paused", "waiting"], ["consent changed", "waiting"], [409, "ready"]] as const) {
      await keepRound(round({ trained, whose: "5", begun: true }));
      site["PUT /trainings/ID"] = () => status;
      const one = take();
      await one.resume();
      await one.agree(0, 0, Infinity);
      one.end();
      expect([status, one.now.stage]).toEqual([status, stage]);
    }
  });
  it("agrees once, however often it is pressed, and draws noise once", async () => {
    logIn("5");
    await keepRound(round({ trained, whose: "5", begun: true }));
    const one = take();
    await one.resume();
    await Promise.all([one.agree(1, 0.5, 24.4), one.agree(1, 0.5, 24.4), one.agree(1, 0.5, 24.4)]);
    expect(asked).toEqual(["PUT /trainings/ID"]);
    expect(await events()).toEqual(["sending", "outcome waiting"]);
  });
  it("brings nothing back of a training that was cancelled while the model was fetched", async () => {
    let give: (raw: unknown) => void = () => undefined;
    const answer = site["GET /versions/1/model.safetensors"]!;
    vi.stubGlobal("fetch", (address: string, settings: RequestInit = {}) =>
      address.endsWith("model.safetensors") ? new Promise((done) => (give = done)).then(() => answered(address, settings)) : answered(address, settings));
    const one = take();
    await one.resume();
    const training = one.train();
    await vi.waitFor(() => expect(asked).toContain("GET /steps"));
    await one.discard();
    give(answer());
    await training;
    expect([one.now.stage, one.now.fault, await roundOf(number), worker.start.mock.calls.length]).toEqual(["ready", "", undefined, 0]);
  });
  it("does not go on with a training where too few examples are left", async () => {
    await keepRound(round());
    call = { ...call, described: { ...call.described, limits: { examples: 2 } } } as never;
    const one = take();
    await one.resume();
    expect([one.now.stage, worker.start.mock.calls.length]).toEqual(["ready", 0]);
  });
  it("leaves another account's update alone", async () => {
    logIn("6");
    await keepRound(round({ trained, whose: "5", agreed: true, begun: true }));
    const one = take();
    await one.resume();
    await one.deliver();
    expect([one.now.stage, asked]).toEqual(["others", []]);
  });
  it("trains and sends in one tab alone", async () => {
    vi.stubGlobal("navigator", { locks: { request: (_name: string, _how: object, work: (lock: null) => unknown) => work(null) } });
    const one = take();
    await one.resume();
    await one.train();
    expect([one.now.stage, asked, worker.start.mock.calls.length]).toEqual(["elsewhere", [], 0]);
    await keepRound(round({ trained, agreed: true }));
    await one.deliver();
    expect([one.now.stage, asked]).toEqual(["elsewhere", []]);
  });
  it("says what failed, and can begin again", async () => {
    worker.start.mockImplementationOnce(() => ({ done: Promise.reject(new Error("diverged")), pause: () => undefined, stop: () => undefined }));
    const one = take();
    await one.train();
    expect([one.now.stage, one.now.fault]).toEqual(["ready", expect.stringContaining("not finite")]);
    site["GET /steps"] = () => ({ steps: null, backbone: null });
    await one.train();
    expect(one.now.fault).toContain("cannot be trained in a browser");
  });
  it("discards what was trained, and gives its place up", async () => {
    logIn("5");
    await keepRound(round({ trained, whose: "5", begun: true }));
    const one = take();
    await one.resume();
    await one.discard();
    expect([one.now.stage, await roundOf(number), asked]).toEqual(["ready", undefined, ["DELETE /trainings/ID"]]);
  });
});
