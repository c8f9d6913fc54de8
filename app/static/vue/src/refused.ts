// What goes wrong between the page and the site.
import type { Network } from "./network";
import { t } from "./texts";

/** What was asked for and is not there or not done: the message is a sentence for people, 0 the status of no answer. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly detail = "",
    readonly network?: Network, // of a conf that was refused: its layers that fit
  ) {
    super(message);
  }
}

export const unreachable = (): Refused => new Refused(0, t("The site cannot be reached. Nothing is lost; try again when it can."));
