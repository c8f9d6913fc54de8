// Of a long list the first few, then all of it, sixty at a time.
import { computed, ref, type ComputedRef } from "vue";

const AT_ONCE = 60;

export interface Portions<T> {
  shown: ComputedRef<T[]>;
  more: ComputedRef<number>; // how many the next step shows besides
  left: ComputedRef<number>;
  open: ComputedRef<boolean>; // more than the first few are shown
  widen: () => void;
  narrow: () => void;
}

/** `few`: how many are the first. */
export function portions<T>(all: () => T[], few: () => number): Portions<T> {
  const most = ref(0); // 0: the first few
  const shown = computed(() => all().slice(0, Math.max(most.value, few())));
  const left = computed(() => all().length - shown.value.length);
  return {
    shown,
    left,
    more: computed(() => Math.min(left.value, most.value ? AT_ONCE : Math.max(0, AT_ONCE - shown.value.length))),
    open: computed(() => most.value > 0 && all().length > few()),
    widen: () => (most.value += AT_ONCE),
    narrow: () => (most.value = 0),
  };
}
