(() => {
  "use strict";
  const search = document.getElementById("search");
  const field = search.querySelector("input");
  const found = search.querySelector("output");
  const lower = (element) => element.textContent.toLowerCase();
  const entries = [...document.querySelectorAll("article")].map((article) => ({
    article,
    head: lower(article.querySelector(".about")),
    rows: [...article.querySelectorAll("tbody tr")].map((row) => ({ row, text: lower(row) })),
  }));
  const sections = [...document.querySelectorAll("section[data-entries]")];
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const { article, head, rows } of entries) {
      const isWhole = words.every((word) => head.includes(word));
      let nRows = 0;
      for (const { row, text } of rows) {
        const isHit = isWhole || words.every((word) => head.includes(word) || text.includes(word));
        row.hidden = !isHit;
        nRows += isHit;
      }
      article.hidden = !isWhole && nRows === 0;
      n += !article.hidden;
    }
    for (const section of sections) section.hidden = !section.querySelector("article:not([hidden])");
    found.textContent = words.length ? `${n} of ${entries.length}` : "";
  };
  field.addEventListener("input", show);
  search.hidden = false;
  show();
})();
