// What the device gives a training: that it trains in one tab alone, a screen that stays on, and when it shall rest.
const LOW = 0.2;

interface Battery extends EventTarget {
  charging: boolean;
  level: number;
}

/** Random, also where the page is not served securely and `crypto.randomUUID` is missing. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 15) | 64;
  bytes[8] = (bytes[8]! & 63) | 128;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Do something for a task unless another tab is at it; whether it was done. */
export async function onlyHere(task: number, work: () => Promise<void>): Promise<boolean> {
  if (!navigator.locks) return work().then(() => true);
  return navigator.locks.request(`skyfed-task-${task}`, { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return !!lock;
  });
}

/** Keep the screen on, where that can be, until the returned function is called. */
export function awake(): () => void {
  let lock: WakeLockSentinel | undefined;
  let over = false;
  const ask = async (): Promise<void> => {
    if (document.hidden || over) return;
    lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (over) void lock?.release();
  };
  void ask();
  document.addEventListener("visibilitychange", ask); // it is lost when the page goes out of sight
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}

/** Say whenever a training shall rest, or go on: the page is out of sight, or the battery low. `look`: say it now. */
export function gating(say: (why: "" | "hidden" | "battery") => void): { look: () => void; end: () => void } {
  let battery: Battery | undefined;
  let over = false;
  const look = (): void => say(document.hidden ? "hidden" : battery && !battery.charging && battery.level < LOW ? "battery" : "");
  document.addEventListener("visibilitychange", look);
  void (navigator as { getBattery?: () => Promise<Battery> }).getBattery?.().then((found) => {
    if (over) return;
    battery = found;
    for (const event of ["levelchange", "chargingchange"]) battery.addEventListener(event, look);
    look();
  });
  return {
    look,
    end() {
      over = true;
      document.removeEventListener("visibilitychange", look);
      for (const event of ["levelchange", "chargingchange"]) battery?.removeEventListener(event, look);
    },
  };
}
