// Forms that the server draws. Before one is sent the session is looked after (session.ts), and what cannot be sent
// says so beside the button. What is typed into those with `data-draft` is kept until the site says that it is done.
import type { Refused } from "./refused";
import { draft, forgetDrafts } from "./drafts";
import { forgetKept } from "./kept";
import { ready } from "./session";
import { t } from "./texts";

const SENT = "sent"; // which draft was sent last
const SEEN = "seen"; // how far down the page was

type Typed = Record<string, string | boolean>;
type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

const fieldsOf = (form: HTMLFormElement): Field[] =>
  [...form.elements].filter(
    (one): one is Field =>
      "value" in one && "name" in one && !!one.name && !["password", "hidden", "file", "submit"].includes((one as HTMLInputElement).type) && (one as HTMLInputElement).autocomplete !== "one-time-code",
  );
const isBox = (field: Field): field is HTMLInputElement => field instanceof HTMLInputElement && ["checkbox", "radio"].includes(field.type);
const nameOf = (field: Field): string => (isBox(field) ? `${field.name}=${field.value}` : field.name);
const typedInto = (form: HTMLFormElement): Typed => Object.fromEntries(fieldsOf(form).map((field) => [nameOf(field), isBox(field) ? field.checked : field.value]));
function fill(form: HTMLFormElement, typed: Typed): void {
  for (const field of fieldsOf(form)) {
    const value = typed[nameOf(field)];
    if (isBox(field) && typeof value === "boolean") field.checked = value;
    else if (!isBox(field) && typeof value === "string") field.value = value;
  }
}

function keep(form: HTMLFormElement): void {
  const kept = draft<Typed>(form.dataset.draft!, "");
  const before = typedInto(form);
  const found = kept.read();
  if (found && JSON.stringify({ ...before, ...found }) !== JSON.stringify(before)) {
    fill(form, found);
    const note = Object.assign(document.createElement("p"), { className: "numbers", textContent: `${t("What you typed before is here again.")} ` });
    const discard = Object.assign(document.createElement("button"), { type: "button", className: "link-button", textContent: t("Start afresh") });
    discard.addEventListener("click", () => {
      kept.forget();
      fill(form, before);
      note.remove();
    });
    note.append(discard);
    form.prepend(note);
  }
  form.addEventListener("input", () => kept.write(typedInto(form)));
}

/** Say at the form, or on top of the page where there is no room for it, why it was not sent. */
function tell(form: HTMLFormElement, reason: string): void {
  form.parentElement?.querySelector(".not-sent")?.remove();
  document.querySelector("main > .not-sent")?.remove();
  if (!reason) return;
  const note = Object.assign(document.createElement("p"), { className: "alert alert-warning not-sent mt-2", role: "alert", textContent: reason });
  if (form.closest("header, table, li")) document.querySelector("main")?.prepend(note);
  else form.append(note);
}

/** What has to be done right before a form is sent. */
function note(form: HTMLFormElement): void {
  if (form.dataset.draft) sessionStorage.setItem(SENT, form.dataset.draft);
  if ("forget" in form.dataset) {
    forgetDrafts();
    void forgetKept();
  }
  const next = form.elements.namedItem("next");
  if (next instanceof HTMLInputElement) {
    next.value = location.pathname + location.search + location.hash;
    sessionStorage.setItem(SEEN, JSON.stringify([next.value, scrollY]));
  }
}

async function send(form: HTMLFormElement): Promise<void> {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  tell(form, "");
  try {
    await ready(!isOpen(form));
  } catch (fault) {
    form.ariaBusy = null;
    tell(form, (fault as Refused).message);
    return;
  }
  note(form);
  form.submit();
}

/** For anybody, logged in or not. */
const isOpen = (form: HTMLFormElement): boolean => "open" in form.dataset;

/** After the language was changed: as far down as before, once the page is as long. */
function scrollBack(): void {
  const seen = sessionStorage.getItem(SEEN);
  sessionStorage.removeItem(SEEN);
  if (!seen) return;
  const [address, down] = JSON.parse(seen) as [string, number];
  if (address !== location.pathname + location.search + location.hash || !down) return;
  const go = (): void => {
    if (document.documentElement.scrollHeight < down + innerHeight) return;
    stop();
    scrollTo({ top: down });
  };
  const watched = new ResizeObserver(go);
  const stop = (): void => {
    watched.disconnect();
    for (const event of ["wheel", "touchstart", "keydown"]) removeEventListener(event, stop);
  };
  for (const event of ["wheel", "touchstart", "keydown"]) addEventListener(event, stop, { once: true }); // whoever moves decides
  setTimeout(stop, 5000);
  watched.observe(document.body);
}

export function keepForms(): void {
  const sent = sessionStorage.getItem(SENT);
  if (sent && document.querySelector("main .alert-success")) {
    draft(sent, "").forget();
    sessionStorage.removeItem(SENT);
  }
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-draft]")) keep(form);
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (event.defaultPrevented || form.method !== "post") return;
    if (isOpen(form) && navigator.onLine) return note(form);
    event.preventDefault();
    void send(form);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void ready(false).catch(() => undefined); // somebody may have logged in or out in another tab
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) for (const form of document.forms) form.ariaBusy = null;
  });
  scrollBack();
}
