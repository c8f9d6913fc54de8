import { createApp } from "vue";
import PublishPage from "./components/PublishPage.vue";
import TaskPage from "./components/TaskPage.vue";
import TasksPage from "./components/TasksPage.vue";
import { loadTexts } from "./texts";

const board = document.getElementById("calls");
const one = document.getElementById("call");
const form = document.getElementById("publish");
if (board) void loadTexts().then(() => createApp(TasksPage, { role: board.dataset.role ?? "" }).mount(board));
if (one) void loadTexts().then(() => createApp(TaskPage, { number: Number(one.dataset.number) }).mount(one));
if (form) void loadTexts().then(() => createApp(PublishPage, { number: Number(form.dataset.number) }).mount(form));
