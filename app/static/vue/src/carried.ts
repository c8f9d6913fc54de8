// Who hears of each request that carries something to the site, and of how many bytes its body has.
export const carried: ((method: string, address: string, bytes: number) => void)[] = [];

export function tellOf(method: string, address: string, body: BodyInit | null | undefined): void {
  const parts = body instanceof FormData ? [...body].flat() : [body ?? ""];
  const bytes = parts.reduce((sum, one) => sum + (one instanceof Blob ? one.size : typeof one === "string" ? new TextEncoder().encode(one).length : 0), 0);
  for (const hear of carried) hear(method, address, bytes);
}
