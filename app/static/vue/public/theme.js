// Before anything is drawn: the account's theme, else the one chosen on this device, else the system's.
(() => {
  const root = document.documentElement;
  if (root.dataset.bsTheme) return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const system = () => (dark.matches ? "dark" : "light");
  const chosen = () => {
    try {
      return ["dark", "light"].find((one) => one === localStorage.getItem("theme"));
    } catch {
      return undefined; // the browser keeps nothing
    }
  };
  const apply = () => {
    root.dataset.bsTheme = chosen() ?? system();
  };
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".theme-switch")) return;
    const wish = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try {
      if (wish === system()) localStorage.removeItem("theme"); // and follows it again
      else localStorage.setItem("theme", wish);
    } catch {
      // For this page at least.
    }
    root.dataset.bsTheme = wish;
  });
  apply();
})();
