import { createApp } from "vue";
import ConfPage from "./components/ConfPage.vue";
import { loadTexts } from "./texts";

if (document.getElementById("conf")) void loadTexts().then(() => createApp(ConfPage).mount("#conf"));
