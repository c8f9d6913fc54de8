import { createApp } from "vue";
import { getCurves, getRuns } from "./api";
import HomePage from "./components/HomePage.vue";
import { isWide, loadPlotly } from "./plot";
import { loadTexts } from "./texts";
import { readView } from "./view";

const place = document.getElementById("runs");
if (place) {
  // All that the first chart needs is asked for at once, not one after the other.
  const names = readView(location.search).runs ? [] : (place.dataset.first ?? "").split(" ").filter(Boolean);
  const begun = { runs: getRuns(), curves: new Map(names.map((name) => [name, getCurves(name)])), plotly: isWide() ? loadPlotly() : undefined };
  void Promise.allSettled([begun.runs, begun.plotly, ...begun.curves.values()]); // whoever awaits them says what failed
  void loadTexts().then(() => createApp(HomePage, { loggedIn: place.dataset.loggedIn === "yes", begun }).mount(place));
}
