// Words that explain themselves on hover, focus and tap: buttons of class `word`, made by Word.vue and by the server.
import { t } from "./texts";

const WORDS = {
  accuracy: () => t("Accuracy: the share of examples that were told rightly."),
  balanced: () => t("Balanced accuracy: the share told rightly is taken of each class by itself, and then the mean of these, so that the more frequent class counts no more."),
  calibrated: () => t("Calibrated: of all photos that are given 80 %, about 80 % are so. The probabilities were scaled on photos the network had not seen."),
  client: () => t("Client: who trains in a round. It holds the examples of one owner, or of several who put theirs together."),
  conf: () => t("Conf: the small file that describes a training: who takes part, for how long, with which settings."),
  federated: () => t("Federated: the network travels to the owners and learns from the examples where they lie; only what it learnt travels back."),
  fold: () => t("Fold: one of five parts of the examples. Each part in turn is kept away from training and judged afterwards."),
  interval: () => t("Interval: with other examples of the same kind the figure would be another; in 95 of 100 cases such a stretch holds the true one."),
  loss: () => t("Loss: how far the probabilities are from the truth. Smaller is better; sure and wrong costs most."),
  "non-iid": () => t("Non-IID: how differently what is to be learnt is spread over the owners. 0: all hold the same mixture."),
  p: () => t("p: how often so large a difference would show if there were none. Small means that it is hardly chance."),
  passes: () => t("Passes: how often training went over all examples that its clients hold."),
  r2: () => t("R²: the share of how much the truth differs that is foretold. 1 is all of it; 0 is no better than always saying the mean."),
  repeat: () => t("Repeat: the same training once more, with other examples kept away or another start, to see how much chance is in it."),
  rmse: () => t("RMSE, root mean squared error: how far off the number is, large errors counting most, in the unit of the number. Smaller is better."),
  round: () => t("Round: the network goes to the owners, each trains it a little, and the mean of what comes back is the new one."),
  scene: () => t("Scene: examples that belong together, as photos of one outing. They are never split between training and judging."),
  seed: () => t("Seed: the number all chance of a training comes from. The same seed gives the same training."),
  test: () => t("Paired test: both networks judge the same examples, and the difference is worked out anew for thousands of random draws of these and of the seeds."),
};
export type Explained = keyof typeof WORDS;

const wordOf = (event: Event): HTMLElement | null => (event.target instanceof Element ? event.target.closest<HTMLElement>(".word") : null);

/** One bubble for all words of the page, above everything and never cut off by what scrolls. */
export function explainWords(): void {
  const box = document.createElement("div");
  box.id = "word-says";
  box.setAttribute("role", "tooltip");
  box.setAttribute("popover", "manual");
  (document.querySelector("main") ?? document.body).append(box);
  let shown: HTMLElement | null = null;

  function hide(): void {
    shown?.removeAttribute("aria-describedby");
    if (shown) box.hidePopover();
    shown = null;
  }
  function show(word: HTMLElement): void {
    const says = WORDS[word.dataset.word as Explained];
    if (!says || word === shown) return;
    hide();
    shown = word;
    box.textContent = says();
    word.setAttribute("aria-describedby", box.id);
    box.showPopover();
    place();
  }
  function place(): void {
    if (!shown) return;
    const [at, own] = [shown.getBoundingClientRect(), box.getBoundingClientRect()];
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - own.width - 8));
    const below = at.bottom + own.height + 12 < innerHeight;
    Object.assign(box.style, { left: `${left}px`, top: `${below ? at.bottom : at.top - own.height}px` });
  }
  document.addEventListener("pointerover", (event) => {
    const word = wordOf(event);
    if (word) show(word);
    else if (document.activeElement !== shown && !box.contains(event.target as Node)) hide();
  });
  document.addEventListener("focusin", (event) => {
    const word = wordOf(event);
    if (word) show(word);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("click", (event) => {
    const word = wordOf(event);
    if (word) show(word);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", place, { passive: true, capture: true });
}
