// The worker of the page where one takes part: it trains beside the page, which stays alive, and ends with its work.
import runtime from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { carryOut } from "./carrying";
import type { Backend, Going, Made, Place, Work } from "./work";

export type ToWorker = { work: Work } | { pause: boolean };
export type FromWorker = { fetched: [address: string, bytes: number][] } | { going: Going } | { began: Backend | "plain" } | { made: Made } | { outputs: Float32Array<ArrayBuffer> } | { fault: string };

const RUNTIMES = ["-simd", "", "-threaded-simd"]; // all must be named; of the others one is older than all browsers that are taken, one shows no gain

const tell = (what: FromWorker, give: Transferable[] = []): void => self.postMessage(what, { transfer: give });
let goOn: () => void = () => undefined;
let gate: Promise<void> | undefined;

async function load(work: Work): Promise<Place> {
  const flow = await import("./flow");
  for (const backend of work.backend ? [work.backend] : (await hasGraphics()) ? (["webgl", "wasm"] as const) : (["wasm"] as const)) {
    try {
      if (backend === "webgl") await import("@tensorflow/tfjs-backend-webgl");
      else (await import("@tensorflow/tfjs-backend-wasm")).setWasmPaths(Object.fromEntries(RUNTIMES.map((name) => [`tfjs-backend-wasm${name}.wasm`, runtime])));
      await flow.begin(backend);
      tell({ fetched: performance.getEntriesByType("resource").map((one) => [one.name, (one as PerformanceResourceTiming).transferSize]) });
      tell({ began: backend });
      return flow.place(work);
    } catch (fault) {
      if (backend !== "webgl" || work.backend) throw fault;
    }
  }
  throw new Error("no backend");
}

/** Whether there is a real graphics processor: one that is only imitated is slower than none. */
async function hasGraphics(): Promise<boolean> {
  const drawing = new OffscreenCanvas(1, 1).getContext("webgl2");
  const about = drawing?.getExtension("WEBGL_debug_renderer_info");
  const name = about ? String(drawing!.getParameter(about.UNMASKED_RENDERER_WEBGL)) : "";
  drawing?.getExtension("WEBGL_lose_context")?.loseContext();
  return !!name && !/swiftshader|llvmpipe|software|basic render/i.test(name);
}

self.addEventListener("message", (event: MessageEvent<ToWorker>) => {
  if ("pause" in event.data) {
    if (event.data.pause) gate ??= new Promise((go) => (goOn = go));
    else goOn(), (gate = undefined);
    return;
  }
  const { work } = event.data;
  carryOut(
    work,
    async (going) => {
      tell({ going });
      await new Promise((turn) => setTimeout(turn)); // a word from the page may come in between
      await gate;
    },
    load,
  ).then(
    (made) => ("body" in made ? tell({ made }, [made.body.buffer]) : tell({ outputs: made }, [made.buffer])),
    (fault: unknown) => tell({ fault: fault instanceof Error ? fault.message : String(fault) }),
  );
});
