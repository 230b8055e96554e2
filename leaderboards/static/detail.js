// Draws one run into an element. Every text goes in as text, never as HTML.
"use strict";
const harnessDetail = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const svg = (tag, attributes, ...children) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  let level = 3; // of a section's heading, below the heading of what holds the details
  const heading = (text) => el(`h${level}`, {}, text);
  const points = (value) => (100 * value).toFixed(1);
  const LETTERS = {
    failed: "F", error: "E", syntax: "S", no_code: "N", truncated: "…", timeout: "T", out_of_memory: "M", output_limit: "O",
    crashed: "C", tampered: "!", not_judged: "?",
  };
  const words = (outcome) => outcome.replaceAll("_", " ");

  const scores = (run) =>
    el(
      "dl",
      { class: "scores" },
      ...run.scores.map((score) =>
        el(
          "div",
          {},
          el("dt", {}, score.name),
          el("dd", {}, el("b", {}, points(score.value)), ` ${points(score.low)}–${points(score.high)}`),
        ),
      ),
    );

  const outcomes = (run) => {
    const total = run.outcomes.reduce((sum, [, count]) => sum + count, 0);
    let at = 0;
    const bar = svg("svg", { class: "stack", viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const [name, count] of run.outcomes) {
      const width = (1000 * count) / total;
      bar.append(svg("rect", { class: `o-${name}`, x: at.toFixed(2), y: 0, width: width.toFixed(2), height: 10 }));
      at += width;
    }
    const list = el(
      "ul",
      { class: "legend" },
      ...run.outcomes.map(([name, count]) =>
        el("li", {}, el("i", { class: `key o-${name}`, "aria-hidden": "true" }, LETTERS[name] ?? ""), `${words(name)} ${count}`),
      ),
    );
    if (run.passed) list.append(el("li", {}, el("i", { class: "key o-some", "aria-hidden": "true" }, "±"), "below: some samples passed"));
    return el("section", {}, heading(`Outcomes of ${total.toLocaleString("en")} samples`), bar, list);
  };

  const tiers = (run) => {
    if (!run.tiers.length) return null;
    const row = (tier) => {
      const bar = svg(
        "svg",
        { class: "bar", viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { class: "track", width: 1000, height: 20 }),
        svg("rect", { class: tier.weak ? "fill weak" : "fill", width: 1000 * tier.value, height: 20 }),
        svg("rect", { class: "range", x: 1000 * tier.low, y: 8, width: 1000 * (tier.high - tier.low), height: 4 }),
      );
      const score = `${points(tier.value)} (${points(tier.low)}–${points(tier.high)})${tier.weak ? ", weak" : ""}`;
      return el("tr", {}, el("th", { scope: "row" }, tier.tier, el("small", {}, ` ${tier.tasks} tasks`)), el("td", {}, bar), el("td", { class: "number" }, score));
    };
    return el("section", {}, heading("pass@1 per tier"), el("table", { class: "tiers" }, el("tbody", {}, ...run.tiers.map(row))));
  };


  const tasks = (run, names, prefix) => {
    const cards = new Map(run.cards.map((card, place) => [card.task, place]));
    const items = names.map((name, place) => {
      const outcome = run.worst[place];
      const some = run.passed && run.passed[place] > 0 && outcome !== "passed";
      const share = run.passed ? `, ${run.passed[place]} of ${run.judged[place]} samples passed` : "";
      const title = `${name}: ${words(outcome)}${share}`;
      const mark = some ? "±" : LETTERS[outcome] ?? "";
      const style = `o-${some ? "some" : outcome}`;
      const inside = cards.has(name)
        ? el("a", { href: `#${prefix}${cards.get(name)}`, title, "aria-label": title, class: style }, mark)
        : el("span", { title, class: style }, mark);
      return el("li", {}, inside);
    });
    const passed = run.worst.filter((outcome) => outcome === "passed").length;
    const list = el("ul", { class: "tasks", "aria-label": "Tasks in the order of the benchmark" }, ...items);
    list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault(); // the address keeps naming the run
      const card = document.getElementById(link.hash.slice(1));
      card.open = true;
      card.scrollIntoView({ block: "start" });
      card.querySelector("summary").focus();
    });
    const all = run.passed ? "with every sample passed" : "passed";
    return el("section", {}, heading(`Tasks: ${passed} of ${names.length} ${all}`), list);
  };

  const value = (name, text, of = "") => (text ? el("div", { class: "value" }, el(`h${level + 1}`, {}, name), el("pre", of ? { tabindex: 0, role: "group", "aria-label": `${name} of ${of}` } : {}, text)) : null);

  const card = (one, id, open) => {
    const head = el(
      "summary",
      {},
      el("span", { class: "task" }, `${one.task} [${one.sample}]`),
      el("span", { class: `chip o-${one.outcome}` }, words(one.outcome)),
      el("span", { class: "reason" }, one.reason.split("\n")[0]),
    );
    const values = el("div", { class: "values" }, value("Expected", one.expected), value("Actual", one.actual));
    const body = el(
      "div",
      { class: "body" },
      el("p", { class: "facts" }, `${one.tests}, ${one.cpu_seconds.toFixed(2)} s CPU`),
      one.reason.includes("\n") ? value("Reason", one.reason) : null,
      value("First failing input", one.call),
      one.expected || one.actual ? values : null,
      value("Printed", one.output),
      value("Program", one.program, `${one.task} [${one.sample}]`),
    );
    const node = el("details", { class: "card", id }, head, body);
    node.open = open;
    return node;
  };

  const cards = (run, prefix, open) => {
    if (!run.cards.length) return null;
    const left = run.failing - run.cards.length;
    const head = run.heading ?? `Failures: the first failing sample of ${run.cards.length} of ${run.failing} tasks`;
    const note = left > 0 && !run.heading ? el("p", { class: "note" }, "More: ", el("code", {}, run.show)) : null;
    return el("section", {}, heading(head), note, ...run.cards.map((one, place) => card(one, `${prefix}${place}`, place < open)));
  };

  const copy = (text) => {
    const button = el("button", { type: "button", class: "quiet" }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.previousSibling); // the reader copies it
      }
    });
    return button;
  };

  const check = (run) =>
    el(
      "section",
      {},
      heading("Check it"),
      el("p", {}, el("a", { href: run.report }, "report.json"), " is the run's own report. Given in the folder of this page, this judges a random sample of its programs again:"),
      el("p", { class: "command" }, el("code", {}, run.verify), copy(run.verify)),
      el("dl", { class: "scores small" }, ...run.facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)))),
    );

  const draw = (target, run, names, { prefix = "card-", open = 1, below = 2 } = {}) => {
    level = below + 1;
    const parts = [scores(run), outcomes(run), tiers(run), tasks(run, names, prefix), cards(run, prefix, open), check(run)];
    target.replaceChildren(...parts.filter((part) => part !== null));
  };

  // Runs come with outcomes as one letter a task, which is short.
  const unpack = (run, codes) => ({ ...run, worst: Array.from(run.worst, (code) => codes[code]) });
  return { draw, unpack, el };
})();
