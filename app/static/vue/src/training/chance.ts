// Numbers by chance: those that follow from a seed, so that a repeat is equal, and noise that nobody can foretell.

/** Uniform in [0, 1), following from a 32-bit seed: mulberry32, which orders batches and nothing secret. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 0 to `count` - 1 in an order by chance (Fisher and Yates). */
export function shuffled(count: number, chance: () => number): Int32Array<ArrayBuffer> {
  const order = Int32Array.from({ length: count }, (_, place) => place);
  for (let place = count - 1; place > 0; place--) {
    const other = Math.floor(chance() * (place + 1));
    [order[place], order[other]] = [order[other]!, order[place]!];
  }
  return order;
}

/** `order` in parts as equal as possible and none longer than `most`, the longer ones first, as numpy.array_split. */
export function batches(order: Int32Array<ArrayBuffer>, most: number): Int32Array<ArrayBuffer>[] {
  const parts = Math.ceil(order.length / most);
  const [least, longer] = [Math.floor(order.length / parts), order.length % parts];
  let end = 0;
  return Array.from({ length: parts }, (_, part) => order.slice(end, (end += least + (part < longer ? 1 : 0))));
}

/** Standard normal numbers from the device's own source (Box and Muller 1958): noise must be secret, a seed is not enough. */
export function* noise(): Generator<number, never> {
  const words = new Uint32Array(16_384);
  for (;;) {
    crypto.getRandomValues(words);
    for (let at = 0; at < words.length; at += 4) {
      // 53 bits each; neither may be 0
      const [one, other] = [at, at + 2].map((place) => ((words[place]! >>> 5) * 2 ** 26 + (words[place + 1]! >>> 6) + 0.5) / 2 ** 53) as [number, number];
      const radius = Math.sqrt(-2 * Math.log(one));
      yield radius * Math.cos(2 * Math.PI * other);
      yield radius * Math.sin(2 * Math.PI * other);
    }
  }
}
