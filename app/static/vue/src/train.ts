import { createApp } from "vue";
import TrainPage from "./components/TrainPage.vue";
import { loadTexts } from "./texts";

const place = document.getElementById("train");
if (place) void loadTexts().then(() => createApp(TrainPage, { number: Number(place.dataset.number) }).mount(place));
