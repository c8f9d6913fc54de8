import { createApp } from "vue";
import StudyPage from "./components/StudyPage.vue";
import { isWide, loadPlotly } from "./plot";
import { loadTexts } from "./texts";

const place = document.getElementById("study");
if (place && isWide()) void loadPlotly().catch(() => undefined);
if (place) void loadTexts().then(() => createApp(StudyPage, { name: place.dataset.name ?? "", role: place.dataset.role ?? "" }).mount(place));
