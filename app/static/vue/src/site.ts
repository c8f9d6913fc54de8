// On every page: the site's own forms renew their token, say what goes wrong and lose nothing that was typed; words explain themselves; times are those of one's own clock.
import { keepForms } from "./forms";
import { day, loadTexts, moment } from "./texts";
import { explainWords } from "./words";

explainWords();
for (const one of document.querySelectorAll<HTMLTimeElement>("time[data-told]")) one.textContent = (one.dataset.told === "day" ? day : moment)(one.dateTime);
void loadTexts().then(keepForms);
