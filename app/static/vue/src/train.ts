import { start } from "./training/trainer";
void start;
