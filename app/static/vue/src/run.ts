import { createApp } from "vue";
import RunPage from "./components/RunPage.vue";
import { isWide, loadPlotly } from "./plot";
import { loadTexts } from "./texts";

const place = document.getElementById("run");
if (place && isWide()) void loadPlotly().catch(() => undefined);
if (place) void loadTexts().then(() => createApp(RunPage, { name: place.dataset.name ?? "", role: place.dataset.role ?? "" }).mount(place));
