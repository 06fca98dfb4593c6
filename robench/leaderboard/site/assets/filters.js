/* The form above the tables: which methods are shown, and in which order. */
"use strict";

(() => {
  const { h, $ } = robench;
  const table = (row) => robench.board.tables[row.table];

  /* The values of a row in each field; a row passes if one of them was chosen. */
  const FIELDS = {
    dataset: { label: "dataset", of: (row) => [table(row).dataset] },
    model: { label: "model", of: (row) => [row.model] },
    attack: { label: "attack", of: (row) => table(row).attacks.map((attack) => attack.label) },
    threat: { label: "threat model", of: (row) => table(row).attacks.map((attack) => `${attack.ball} ${attack.knowledge}`) },
    checks: { label: "checks", of: (row) => row.runs.map((run) => run.checks) },
    plugin: { label: "plugin", of: (row) => row.plugins },
  };

  /* Everything of a row that is searched, in lower case; made once. */
  const text = (row) => {
    row.text ??= [row.name, row.model, row.tuner, row.against, row.settings, row.checks, table(row).caption, ...row.plugins,
      ...table(row).attacks.map((attack) => `${attack.label} ${attack.ball} ${attack.knowledge}`),
      ...row.papers.map((at) => robench.board.papers[at].text), ...row.runs.map((run) => `${run.run} seed ${run.seed}`)].join("\n").toLowerCase();
    return row.text;
  };

  /** Whether search and filters let a row pass. */
  robench.passes = (row) => (!robench.state.q.trim() || robench.state.q.trim().toLowerCase().split(/\s+/).every((word) => text(row).includes(word)))
    && Object.entries(FIELDS).every(([field, { of }]) => !robench.state[field] || of(row).includes(robench.state[field]));

  /** The rows that pass, best first in each table. */
  robench.shownRows = () => robench.board.rows.filter(robench.passes);

  const values = (field) => [...new Set(robench.board.rows.flatMap(FIELDS[field].of))]
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

  const listed = (field) => {
    const all = values(field);
    // What holds for every method chooses nothing.
    const chooses = all.length > 1 || (all.length && robench.board.rows.some((row) => !FIELDS[field].of(row).length));
    if (!chooses && !robench.state[field]) return null;
    const label = robench.choice(FIELDS[field].label, [["", "all"], ...all.map((value) => [value, value])],
      (value) => robench.choose({ [field]: value }), robench.state[field]);
    label.querySelector("select").name = field;
    return label;
  };

  const orders = () => {
    const { tables } = robench.board;
    const attacks = [...new Set(tables.flatMap((each) => each.attacks.map((attack) => attack.label)))];
    const balls = [...new Set(tables.flatMap((each) => each.balls.map((ball) => ball.at)))];
    return [["", "rank"], ["clean:desc", "clean accuracy"], ...balls.map((at) => [`worst ${at}:desc`, `worst case at ${at}`]),
      ...attacks.map((label) => [`attack ${label}:desc`, `under ${label}`]), ["drop:asc", "drop"], ["checks:asc", "checks, problems first"],
      ["trained:asc", "trained parameters"], ["seconds:asc", "seconds"], ["name:asc", "name"]];
  };

  /** Draw the form again for the current rows and choices. */
  robench.drawFilters = () => {
    const form = $("#filters");
    const focused = form.contains(document.activeElement) ? document.activeElement.name : null;
    const at = focused === "q" ? form.elements.q.selectionStart : null;
    const folded = form.querySelector("details");
    const known = orders();
    const { sort } = robench.state;
    if (sort && !known.some(([value]) => value === sort)) known.push([sort, sort.replace(/:asc$/, ", lowest first").replace(/:desc$/, ", highest first")]);
    const order = robench.choice("order", known, (value) => robench.choose({ sort: value }), sort);
    order.querySelector("select").name = "order";
    form.replaceChildren(
      h("label", { class: "search" }, h("span", { class: "away" }, "search"), h("input", { type: "search", name: "q", placeholder: "Search: name, setting, paper, run ID", autocomplete: "off", value: robench.state.q,
        oninput: (event) => robench.choose({ q: event.target.value }, true) })),
      h("details", { open: folded ? folded.open : window.innerWidth > 1200 }, h("summary", {}, "Filter and sort"),
        h("div", { class: "fields" }, Object.keys(FIELDS).map(listed), order, h("button", { type: "reset" }, "Show all"))));
    if (focused && form.elements[focused]) {
      form.elements[focused].focus();
      if (at !== null) form.elements.q.setSelectionRange(at, at);
    }
  };

  $("#filters").addEventListener("submit", (event) => event.preventDefault());
  $("#filters").addEventListener("reset", (event) => {
    event.preventDefault();
    robench.choose({ q: "", dataset: "", model: "", attack: "", threat: "", checks: "", plugin: "", sort: "" });
  });
})();
