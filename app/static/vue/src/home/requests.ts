// Every request that this page makes, as the browser itself tells of it, and what each carried to the site.
import { reactive } from "vue";
import { carried } from "../carried";
import { fetching } from "../training/trainer";

export interface Made {
  method: string;
  path: string;
  count: number;
  up: number; // bytes of bodies
  down: number; // bytes that came, as far as they are told
  at: string;
}

const MOST = 500;

/** The list, kept up to date until `end`. Requests of one address are one row. */
export function listening(): { made: Made[]; end: () => void } {
  const made = reactive<Made[]>([]);
  const methods = new Map<string, string[]>();
  const row = (method: string, path: string): Made => {
    const known = made.find((one) => one.method === method && one.path === path);
    if (known) return known;
    if (made.length >= MOST) made.pop();
    made.unshift({ method, path, count: 0, up: 0, down: 0, at: "" });
    return made[0]!;
  };
  const pathOf = (address: string): string => {
    const { origin, pathname, searchParams } = new URL(address, location.href);
    const told = [...searchParams].map(([key, value]) => `${key}=${value}`).join("&");
    return (origin === location.origin ? "" : origin) + pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "…") + (told && `?${told}`);
  };
  const hear = (method: string, address: string, bytes: number): void => {
    const path = pathOf(address);
    if (methods.get(path)?.length) methods.delete(path); // of one that failed nothing more is heard
    methods.set(path, [...(methods.get(path) ?? []), method]);
    row(method, path).up += bytes;
  };
  carried.push(hear);
  const came = (address: string, bytes: number, at: number): void => {
    if (/^(blob|data):/.test(address)) return; // not out of this page
    const path = pathOf(address);
    const found = row(methods.get(path)?.shift() ?? "GET", path);
    found.count += 1;
    found.down += bytes;
    found.at = new Date(at).toISOString();
  };
  const byWorker = (address: string, bytes: number): void => came(address, bytes, Date.now());
  fetching.push(byWorker);
  const watcher = new PerformanceObserver((list) => {
    for (const one of list.getEntries() as PerformanceResourceTiming[]) came(one.name, one.transferSize || 0, performance.timeOrigin + one.startTime);
  });
  watcher.observe({ type: "resource", buffered: true });
  return {
    made,
    end() {
      watcher.disconnect();
      carried.splice(carried.indexOf(hear), 1);
      fetching.splice(fetching.indexOf(byWorker), 1);
    },
  };
}
