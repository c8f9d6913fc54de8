// What the pages ask the site about photos and forecasts; the shapes are those of /api/v1/openapi.json.
import { change, get } from "../api";

export interface Saying {
  answer: "sunny" | "cloudy" | "unsure" | "night" | "no colour" | "no sky";
  probability: number;
  strangeness: number;
  light: number;
  role: string;
  run: string;
}

export interface Judged {
  file: string;
  error?: { code: number; message: string };
  forecast?: Saying;
  others?: Saying[];
  heat?: number[][];
}

export interface Model {
  role: string;
  run: string;
  title: string;
  image_size: number;
  bytes: number;
  parameters: number;
  temperature: number;
  cloudy_to: number;
  sunny_from: number;
  onnx: string;
  tested: { sources: string[]; elsewhere: boolean; answers: number; answered: number; right: number | null }[];
}

export interface Sky {
  mean: number[];
  spread: number[];
  precision: number[][];
  threshold: number;
}

export interface Kept {
  id: number;
  at: string;
  file: string;
  answer: Saying["answer"];
  run: string;
  title: string;
  probability: number;
  correction: "" | "sunny" | "cloudy" | "neither";
}

function photoForm(file: File): FormData {
  const form = new FormData();
  form.append("photo", file, file.name);
  return form;
}

export const getModels = (): Promise<{ models: Model[]; sky: Sky }> => get("/forecast/models");
export const postForecast = async (file: File, asked: { model: string; turn: number; compare: boolean; place: boolean }): Promise<Judged> => {
  const query = new URLSearchParams({ model: asked.model, turn: `${asked.turn}`, explain: "true", compare: `${asked.compare}`, place: `${asked.place}` });
  const [judged] = (await change<{ forecasts: Judged[] }>("POST", `/forecast?${query}`, photoForm(file))).forecasts;
  return judged!;
};
export const getHistory = async (): Promise<Kept[]> => (await get<{ forecasts: Kept[] }>("/forecasts")).forecasts;
export const keepForecast = (file: File, model: string, turn: number): Promise<Kept> => change("POST", `/forecasts?model=${model}&turn=${turn}`, photoForm(file));
export const correctForecast = (id: number, correction: Kept["correction"]): Promise<Kept> => change("PUT", `/forecasts/${id}`, { correction });
export const forgetForecast = (id: number): Promise<unknown> => change("DELETE", `/forecasts/${id}`);

/** Which photos of a run's set are on the site's machine; for researchers. */
export const getPhotos = async (name: string): Promise<string[]> =>
  (await get<{ photos: string[] }>(`/runs/${encodeURIComponent(name)}/photos`)).photos;
