import { createApp } from "vue";
import ForecastPage from "./components/ForecastPage.vue";
import { loadTexts } from "./texts";

const place = document.getElementById("forecast");
if (place) {
  const samples = (place.dataset.samples ?? "").split(" ").filter(Boolean);
  void loadTexts().then(() => createApp(ForecastPage, { samples, loggedIn: place.dataset.loggedIn === "yes" }).mount(place));
}
