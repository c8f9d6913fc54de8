// On every page: the site's own forms renew their token, say what goes wrong and lose nothing that was typed; words explain themselves.
import { keepForms } from "./forms";
import { loadTexts } from "./texts";
import { explainWords } from "./words";

explainWords();
void loadTexts().then(keepForms);
