// Before anything is drawn: follow the system's theme unless the account has chosen one.
(() => {
  const root = document.documentElement;
  if (root.dataset.bsTheme) return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", apply);
  apply();
})();
