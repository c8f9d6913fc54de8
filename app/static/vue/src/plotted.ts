// A chart that Plotly draws once somebody is near it, and again when the theme changes or whoever shows it asks for that.
import { onBeforeUnmount, onMounted, ref, shallowRef, type Ref } from "vue";
import { inTurn, isWide, loadPlotly, type Plotly } from "./plot";

type Traces = Parameters<Plotly["react"]>[1];

/** `shown` gives traces and layout when they are drawn; `ready` says whether there is anything to draw, `begun` whether something was. */
export function usePlot(place: Ref<HTMLElement | undefined>, shown: () => { traces: Traces; layout: object }, ready: (begun: boolean) => boolean = () => true) {
  const fault = ref<Error>(); // why nothing can be drawn
  const plotly = shallowRef<Plotly>(); // not made reactive: it is a library
  let near = isWide();
  const coming = new IntersectionObserver(
    (seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      coming.disconnect();
      near = true;
      void draw();
    },
    { rootMargin: "50% 0px" },
  );

  async function draw(): Promise<void> {
    if (!near || !ready(!!plotly.value)) return;
    try {
      plotly.value ??= await loadPlotly();
      fault.value = undefined;
    } catch (why) {
      fault.value = why as Error;
      return;
    }
    const loaded = plotly.value;
    await inTurn(async () => {
      if (!place.value) return;
      const { traces, layout } = shown();
      await loaded.react(place.value, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    });
  }

  const themes = new MutationObserver(() => void draw());
  onMounted(() => {
    themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    if (!near && place.value) coming.observe(place.value);
    void draw();
  });
  onBeforeUnmount(() => {
    themes.disconnect();
    coming.disconnect();
    if (plotly.value && place.value) plotly.value.purge(place.value);
  });
  return { draw, fault, plotly };
}
