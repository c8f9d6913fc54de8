// On every page: the site's own forms renew their token, say what goes wrong and lose nothing that was typed.
import { keepForms } from "./forms";
import { loadTexts } from "./texts";

void loadTexts().then(keepForms);
