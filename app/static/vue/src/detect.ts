import { createApp } from "vue";
import DetectPage from "./components/DetectPage.vue";
import { loadTexts } from "./texts";

const place = document.getElementById("detect");
if (place) void loadTexts().then(() => createApp(DetectPage).mount(place));
