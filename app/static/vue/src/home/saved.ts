/** Give a person a file to keep. */
export function saved(name: string, what: Blob): void {
  const address = URL.createObjectURL(what);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
