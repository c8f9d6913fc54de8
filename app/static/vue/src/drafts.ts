// What somebody has typed and not sent yet, kept in this tab of the browser: never a password.
import { whose } from "./session";


export interface Draft<T> {
  read(): T | undefined;
  write(typed: T): void;
  forget(): void;
}

/** A draft belongs to a person, a form and, where there is one on each of many pages, to a page. */
export function draft<T>(name: string, page = location.pathname + location.search): Draft<T> {
  const place = `draft:${whose()}:${page}#${name}`;
  return {
    read() {
      try {
        return (JSON.parse(sessionStorage.getItem(place) ?? "null") as T | null) ?? undefined;
      } catch {
        return undefined; // not of ours
      }
    },
    write(typed) {
      try {
        sessionStorage.setItem(place, JSON.stringify(typed));
      } catch {
        // The browser keeps nothing, or no more.
      }
    },
    forget: () => sessionStorage.removeItem(place),
  };
}

/** Forget all that was typed, by whoever: somebody leaves. */
export function forgetDrafts(): void {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith("draft:")) sessionStorage.removeItem(name);
}
