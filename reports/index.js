(() => {
  "use strict";
  const filter = document.getElementById("filter");
  const field = filter.querySelector("input");
  const state = filter.querySelector("select");
  const found = filter.querySelector("output");
  const plain = (text) => text.toLowerCase().replaceAll("\u2212", "-");
  const rows = [...document.querySelectorAll("tbody tr")].map((row) => ({ row, state: row.cells[1]?.textContent, text: plain(row.textContent) }));
  const show = () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean);
    let n = 0;
    for (const one of rows) {
      const isHit = (!state?.value || one.state === state.value) && words.every((word) => one.text.includes(word));
      one.row.hidden = !isHit;
      n += isHit;
    }
    const what = filter.dataset.what;
    found.textContent = n === rows.length ? `${n} ${what}` : `${n} of ${rows.length} ${what}`;
  };
  field.addEventListener("input", show);
  state?.addEventListener("change", show);
  filter.hidden = false;
  show();
})();
