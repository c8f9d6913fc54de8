// Drafts of what is typed into components.
import { ref, watch, type Ref } from "vue";
import { draft } from "./drafts";

/** Put back what was typed into a form of a component, and keep what will be, until it is as it was or is forgotten. */
export function drafted<T>(name: string, typed: () => T, put: (typed: T) => void): { restored: Ref<boolean>; forget: () => void } {
  const kept = draft<T>(name);
  const before = JSON.stringify(typed());
  const found = kept.read();
  const restored = ref(found !== undefined);
  if (found !== undefined) put(found);
  const stop = watch(typed, (now) => (JSON.stringify(now) === before ? kept.forget() : kept.write(now)), { deep: true });
  return {
    restored,
    forget() {
      stop();
      kept.forget();
      restored.value = false;
    },
  };
}
