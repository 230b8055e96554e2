// The leaderboard: sorting and filtering (List.js), and the dialog with a run's details.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const boards = [];
  let data;
  const load = () => (data ??= JSON.parse($("data").textContent));

  // --- the dialog -----------------------------------------------------------------------------
  const dialog = $("detail");
  const show = (id) => {
    if (!Object.hasOwn(load().rows, id)) return;
    const row = data.rows[id];
    $("detail-title").textContent = row.label;
    $("detail-protocol").textContent = row.board;
    const tabs = $("detail-tabs");
    const select = (place) => {
      const run = harnessDetail.unpack(data.runs[row.runs[place]], data.codes);
      harnessDetail.draw($("detail-body"), run, data.tasks[run.tasks]);
      $("detail-body").scrollTop = 0;
      [...tabs.children].forEach((tab, at) => tab.setAttribute("aria-pressed", String(at === place)));
    };
    tabs.replaceChildren(
      ...row.runs.map((run, place) => {
        const tab = harnessDetail.el("button", { type: "button" }, data.runs[run].column);
        tab.addEventListener("click", () => select(place));
        return tab;
      }),
    );
    select(0);
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#${id}`);
  };
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });
  $("detail-close").addEventListener("click", () => dialog.close());
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) show(opener.dataset.open);
  });
  addEventListener("hashchange", () => show(location.hash.slice(1)));

  // --- sorting --------------------------------------------------------------------------------
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (column, isNumber) => (one, other, { order }) => {
    const [a, b] = [one.values()[column], other.values()[column]];
    if (!a || !b) return (a ? -1 : b ? 1 : 0) * (order === "desc" ? -1 : 1); // rows without a value come last
    return isNumber ? a - b : collator.compare(a, b);
  };
  const sorts = (list, heads) => {
    for (const head of heads) {
      const isNumber = head.classList.contains("number");
      head.querySelector("button").addEventListener("click", () => {
        const first = isNumber && head.dataset.first !== "ascending" ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const next = head.getAttribute("aria-sort") === first ? second : first;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", next);
        const column = head.dataset.column;
        list.sort(column, { order: next === "descending" ? "desc" : "asc", sortFunction: compare(column, isNumber) });
      });
    }
  };

  // --- searching and filtering ----------------------------------------------------------------
  const [search, benchmark, board, size] = ["search", "benchmark", "board", "size"].map($);
  // All words must be in the row's text. List.js has a search of its own, which finds no name with a hyphen.
  const fits = (words) => (item) => {
    const { label, parameters: stated } = item.values();
    const text = label.toLowerCase();
    const parameters = Number(stated);
    if (!words.every((word) => text.includes(word))) return false;
    if (!size.value) return true;
    if (size.value === "unknown") return !parameters;
    const [low, high] = size.value.split("-").map(Number);
    return parameters > low && parameters <= high;
  };
  const refresh = () => {
    const words = search.value.toLowerCase().split(/[\s<>&]+/).filter(Boolean); // as `searchable` leaves them
    let shown = 0;
    let all = 0;
    for (const { list, section, columns } of boards) {
      const isReported = section.id === "reported";
      section.hidden = Boolean(board.value) && !isReported && section.id !== board.value;
      list.filter(fits(words));
      for (const cell of columns) cell.hidden = Boolean(benchmark.value) && cell.dataset.benchmark !== benchmark.value;
      const left = new Set(list.visibleItems.map((item) => item.elm.id));
      for (const dot of section.querySelectorAll("[data-open].dot")) dot.classList.toggle("off", !left.has(dot.dataset.open));
      section.querySelector(".none").hidden = left.size > 0;
      if (isReported) continue;
      all += list.items.length;
      shown += section.hidden ? 0 : left.size;
    }
    $("count").textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows`;
  };

  const start = () => {
    for (const section of document.querySelectorAll("section.board")) {
      const heads = [...section.querySelectorAll("th[data-column]")];
      const list = new List(section, { valueNames: [{ data: ["label", "parameters", ...heads.map((head) => head.dataset.column)] }] });
      boards.push({ list, section, columns: [...section.querySelectorAll("[data-benchmark]")] });
      sorts(list, heads);
    }
    let waiting;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(refresh, 100);
    });
    for (const select of [benchmark, board, size]) select.addEventListener("change", refresh);
    for (const select of document.querySelectorAll("select[data-charts]")) {
      select.addEventListener("change", () => {
        for (const chart of $(select.dataset.charts).children) chart.hidden = chart.dataset.chart !== select.value;
      });
    }
    for (const node of document.querySelectorAll("[data-needs-script]")) node.hidden = false;
    refresh();
    document.documentElement.dataset.ready = "";
    show(location.hash.slice(1));
  };
  requestAnimationFrame(() => setTimeout(start)); // after the first paint: the tables are there already
})();
