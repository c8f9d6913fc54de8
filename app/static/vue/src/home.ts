import { createApp } from "vue";
import HomePage from "./components/HomePage.vue";
import { loadTexts } from "./texts";

const place = document.getElementById("runs");
if (place) void loadTexts().then(() => createApp(HomePage, { loggedIn: place.dataset.loggedIn === "yes" }).mount(place));
