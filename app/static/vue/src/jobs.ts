import { createApp } from "vue";
import JobPage from "./components/JobPage.vue";
import JobsPage from "./components/JobsPage.vue";
import { loadTexts } from "./texts";

const list = document.getElementById("jobs");
const one = document.getElementById("job");
if (list) void loadTexts().then(() => createApp(JobsPage, { admin: list.dataset.admin === "1" }).mount(list));
if (one) void loadTexts().then(() => createApp(JobPage, { number: Number(one.dataset.number), admin: one.dataset.admin === "1" }).mount(one));
