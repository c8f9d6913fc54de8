// Who is logged in, while a page is open: its token is renewed, and who was logged out logs in again in place.
import { tellOf } from "./carried";
import { Refused, unreachable } from "./refused";
import { t } from "./texts";

interface Present {
  who: string; // number of the account, empty for nobody
  token: string;
}

const meta = (name: string): HTMLMetaElement | null => document.querySelector(`meta[name="${name}"]`);
export const token = (): string => meta("csrf-token")?.content ?? "";
/** Whose page this is; empty for nobody's. */
export const whose = (): string => meta("whose")?.content ?? "";

/** Renew the token, for nobody but the person whose page this is; `login`: who was logged out may log in first. */
export async function ready(login = true): Promise<void> {
  const answer = await fetch("/session").catch(() => undefined);
  if (!answer?.ok) throw unreachable();
  let now = (await answer.json()) as Present;
  if (login && whose() && !now.who) now = await logIn();
  if (whose() && now.who && now.who !== whose()) throw new Refused(403, t("Somebody else has logged in here meanwhile. Load the page again."));
  meta("csrf-token")!.content = now.token;
  for (const field of document.querySelectorAll<HTMLInputElement>('input[name="csrf_token"]')) field.value = now.token;
}

let asking: Promise<Present> | undefined;

/** The site's own log-in form in a dialog, once for all that wait for it. Raises Refused when it is closed. */
const logIn = (): Promise<Present> => (asking ??= dialog().finally(() => (asking = undefined)));

function dialog(): Promise<Present> {
  const box = document.createElement("dialog");
  box.className = "log-in";
  box.setAttribute("aria-labelledby", "log-in-title");
  const title = Object.assign(document.createElement("h2"), { id: "log-in-title", className: "h5", textContent: t("Log in again") });
  const about = Object.assign(document.createElement("p"), { textContent: t("You were logged out meanwhile. Log in, and what you just did goes on.") });
  const place = document.createElement("div");
  const fault = Object.assign(document.createElement("p"), { className: "alert alert-warning", role: "alert", hidden: true });
  const leave = Object.assign(document.createElement("button"), { type: "button", className: "link-button mt-3", textContent: t("Cancel") });
  leave.addEventListener("click", () => box.close());
  box.append(title, about, fault, place, leave);
  document.body.append(box);
  box.showModal();

  return new Promise((done, failed) => {
    async function show(asked: Promise<Response>): Promise<void> {
      try {
        const answer = await asked;
        if (new URL(answer.url).pathname === "/session") {
          done((await answer.json()) as Present);
          box.close();
          return;
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const form = page.querySelector<HTMLFormElement>("main form");
        fault.hidden = !!form;
        if (!form) fault.textContent = page.querySelector("main .lead")?.textContent ?? t("The site cannot be reached. Nothing is lost; try again when it can.");
        else place.replaceChildren(ownNames(form));
        place.querySelector<HTMLInputElement>("input:not([type=hidden])")?.focus();
      } catch {
        [fault.hidden, fault.textContent] = [false, unreachable().message];
      }
    }
    place.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const body = new FormData(event.target as HTMLFormElement);
      tellOf("POST", "/login?next=/session", body);
      void show(fetch("/login?next=/session", { method: "POST", body }));
    });
    box.addEventListener("close", () => {
      failed(new Refused(401, t("You are logged out, so nothing was changed.")));
      box.remove();
    });
    void show(fetch("/login?next=/session"));
  });
}

/** The form with names of its own: the page may have fields that are called like its. */
function ownNames(form: HTMLFormElement): HTMLFormElement {
  for (const name of ["id", "for", "aria-describedby"]) {
    for (const one of form.querySelectorAll(`[${name}]`)) one.setAttribute(name, `log-in-${one.getAttribute(name)}`);
  }
  return document.importNode(form, true);
}
