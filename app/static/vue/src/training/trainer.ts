// The page's side of a training: a worker for each piece of work, which ends with it and gives all its memory back.
import type { Going, Made, Work } from "./work";
import type { FromWorker, ToWorker } from "./worker";

export interface Running<T> {
  done: Promise<T>;
  pause(pause: boolean): void;
  stop(): void;
}

/** Who hears what a worker fetched: the page's own list of requests has none of it. */
export const fetching: ((address: string, bytes: number) => void)[] = [];

/** Begin a piece of work; `going` hears how it goes. It fails with the message of what went wrong, "stopped" where that was wished. */
export function start<T extends Made | Float32Array<ArrayBuffer>>(work: Work, going: (now: Going) => void, began: (backend: string) => void = () => undefined): Running<T> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  let fail: (fault: Error) => void = () => undefined;
  const done = new Promise<T>((made, failed) => {
    fail = failed;
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("fetched" in data) for (const [address, bytes] of data.fetched) for (const hear of fetching) hear(address, bytes);
      else if ("going" in data) going(data.going);
      else if ("began" in data) began(data.began);
      else if ("fault" in data) failed(new Error(data.fault));
      else made(("made" in data ? data.made : data.outputs) as T);
    });
    worker.addEventListener("error", (event) => failed(new Error(event.message || "not loaded")));
  }).finally(() => worker.terminate());
  const tell = (what: ToWorker): void => worker.postMessage(what);
  tell({ work });
  return {
    done,
    pause: (pause) => tell({ pause }),
    stop: () => {
      worker.terminate();
      fail(new Error("stopped"));
    },
  };
}
