(() => {
  "use strict";
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const cells = (line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((found) => found[1].replace(/^"|"$/g, "").replaceAll('""', '"'));
  const written = (text) => (text === "" ? "\u2013" : Number(text).toLocaleString("en", { maximumSignificantDigits: 4 }));
  // Where a wide chart is wider than the screen, its newest end is what a reader came for.
  for (const picture of document.querySelectorAll("figure.wide[data-span] .picture")) picture.scrollLeft = picture.scrollWidth;
  for (const figure of document.querySelectorAll("figure[data-span]")) {
    const chart = figure.querySelector("svg");
    const link = figure.querySelector("a[download]");
    const [start, end] = figure.dataset.span.split(" ").map(Number);
    const { width, height } = chart.viewBox.baseVal;
    let heads;
    let rows;
    let at = -1;
    const guide = document.createElementNS(NAMESPACE, "line");
    guide.setAttribute("class", "guide");
    guide.setAttribute("y1", 20);
    guide.setAttribute("y2", height - 28);
    guide.setAttribute("visibility", "hidden");
    chart.append(guide);
    const said = document.createElement("output");
    said.className = "hover";
    chart.after(said);
    const read = () => {
      if (rows) return;
      const lines = decodeURIComponent(link.getAttribute("href").split(",").slice(1).join(",")).trim().split("\n");
      [heads, ...rows] = lines.map(cells);
    };
    const show = (place) => {
      read();
      at = Math.max(0, Math.min(rows.length - 1, place));
      const x = start + (rows.length > 1 ? (at / (rows.length - 1)) * (end - start) : 0);
      guide.setAttribute("x1", x);
      guide.setAttribute("x2", x);
      guide.setAttribute("visibility", "visible");
      said.textContent = [rows[at][0], ...heads.slice(1).map((head, column) => (head ? `${head} ${written(rows[at][column + 1] ?? "")}` : ""))].join("   ");
    };
    const hide = () => {
      guide.setAttribute("visibility", "hidden");
      said.textContent = "";
      at = -1;
    };
    const point = (event) => {
      read();
      const box = chart.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      show(Math.round(((x - start) / (end - start)) * (rows.length - 1)));
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      read();
      show((at < 0 ? rows.length : at) + step);
    });
    chart.setAttribute("tabindex", "0");
  }
})();
