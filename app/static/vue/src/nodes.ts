import { createApp } from "vue";
import NodesPage from "./components/NodesPage.vue";
import { loadTexts } from "./texts";

const page = document.getElementById("nodes");
if (page) void loadTexts().then(() => createApp(NodesPage, { role: page.dataset.role ?? "" }).mount(page));
