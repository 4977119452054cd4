(() => {
  "use strict";
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const FARTHEST = 12;
  const cells = (line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((found) => found[1].replace(/^"|"$/g, "").replaceAll('""', '"'));
  const written = (text, unit) => {
    const value = Number(text);
    if (text === "") return "\u2013";
    if (Number.isNaN(value)) return text;
    if (unit === "%") return `${(value * 100).toLocaleString("en", { maximumFractionDigits: 2 })} %`;
    return value.toLocaleString("en", Math.abs(value) < 1000 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 0 });
  };
  // What each mark says, in the order in which the marks are drawn; where a mark says it itself, that is taken.
  const said = {
    cells: (heads, rows, unit) => rows.flatMap((row) => heads.slice(1).flatMap((head, at) => (row[at + 1] ? [`${row[0]}, ${head}: ${written(row[at + 1], unit)}`] : []))),
    squares: (heads, rows) => heads.slice(1).flatMap((head, at) => (head ? rows.map((row) => `${head}, ${row[0]}: ${row[at + 1]}`) : [])),
    points: (heads, rows, unit) => rows.map((row) => heads.map((head, at) => head && `${head} ${written(row[at], at < 2 ? unit : "")}`).filter(Boolean).join("   ")),
  };
  const boxes = (chart, kind) => {
    if (kind === "points") {
      const dots = [...chart.querySelectorAll(".dots")].flatMap((path) => [...path.getAttribute("d").matchAll(/M([-\d.]+) ([-\d.]+)/g)]);
      return dots.map(([, x, y]) => ({ x: Number(x) - 4, y: Number(y) - 4, width: 8, height: 8 }));
    }
    return [...chart.querySelectorAll("rect")].map((rect) => ({
      ...Object.fromEntries(["x", "y", "width", "height"].map((name) => [name, Number(rect.getAttribute(name))])),
      text: rect.querySelector("title")?.textContent,
    }));
  };
  // Where a wide chart is wider than the screen, its newest end is what a reader came for.
  for (const picture of document.querySelectorAll("figure.wide[data-span] .picture")) picture.scrollLeft = picture.scrollWidth;
  for (const figure of document.querySelectorAll("figure[data-span], figure[data-marks]")) {
    const chart = figure.querySelector("svg");
    const link = figure.querySelector("a[download]");
    const { marks: kind, unit } = figure.dataset;
    const { width, height } = chart.viewBox.baseVal;
    let marks;
    let at = -1;
    const guide = document.createElementNS(NAMESPACE, "path");
    guide.setAttribute("class", "guide");
    const shown = document.createElement("output");
    shown.className = "hover";
    chart.after(shown);
    const read = () => {
      if (marks) return;
      const file = decodeURIComponent(link.getAttribute("href").split(",").slice(1).join(",")).trim().split("\n");
      const [heads, ...rows] = file.map(cells);
      if (kind) {
        const texts = said[kind]?.(heads, rows, unit) ?? [];
        marks = boxes(chart, kind).map((box, place) => ({ ...box, text: box.text ?? texts[place] ?? "" }));
      } else {
        const [start, end] = figure.dataset.span.split(" ").map(Number);
        const step = rows.length > 1 ? (end - start) / (rows.length - 1) : 0;
        // The column behind those of the lines says what stands on darker ground.
        const lines = chart.querySelectorAll("path.line").length;
        const told = (row, head, column) => (column < lines ? `${head} ${written(row[column + 1] ?? "", unit)}` : row[column + 1] === "1" ? head : "");
        const text = (row) => [row[0], ...heads.slice(1).map((head, column) => head && told(row, head, column))].filter(Boolean).join("   ");
        marks = rows.map((row, place) => ({ x: start + place * step, y: 20, width: 0, height: height - 48, text: text(row) }));
      }
      chart.append(guide);
    };
    const show = (place) => {
      at = Math.max(0, Math.min(marks.length - 1, place));
      const mark = marks[at];
      if (!mark) return;
      guide.setAttribute("d", `M${mark.x} ${mark.y}h${mark.width}v${mark.height}h${-mark.width}z`);
      shown.textContent = mark.text;
    };
    const hide = () => {
      guide.setAttribute("d", "");
      shown.textContent = "";
      at = -1;
    };
    const point = (event) => {
      read();
      const box = chart.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      const y = ((event.clientY - box.top) / box.height) * height;
      const away = marks.map((mark) => {
        const across = kind === "bars" ? 0 : Math.max(mark.x - x, 0, x - mark.x - mark.width);
        const down = !kind || kind === "columns" ? 0 : Math.max(mark.y - y, 0, y - mark.y - mark.height);
        return Math.hypot(across, down);
      });
      const least = Math.min(...away);
      if (kind && least > FARTHEST) hide();
      else show(away.indexOf(least));
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      read();
      show((at < 0 ? (step < 0 ? marks.length : -1) : at) + step);
    });
    chart.setAttribute("tabindex", "0");
  }
})();
