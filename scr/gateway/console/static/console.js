// Conveniences only: without scripts every page works, by its buttons.
document.addEventListener("change", (event) => {
  const from = event.target;
  if (from.matches("[data-submits]")) from.form.requestSubmit();
  if (from.matches("[data-reads]") && from.files.length) {
    from.files[0].text().then((text) => { document.getElementById(from.dataset.reads).value = text; });
  }
});
document.addEventListener("keydown", (event) => {
  const search = document.querySelector("input[type=search]");
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && search && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  }
});
