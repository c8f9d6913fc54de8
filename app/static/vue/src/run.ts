import { createApp } from "vue";
import RunPage from "./components/RunPage.vue";
import { loadTexts } from "./texts";

const place = document.getElementById("run");
if (place) void loadTexts().then(() => createApp(RunPage, { name: place.dataset.name ?? "", role: place.dataset.role ?? "" }).mount(place));
