/* The form above the table: which rows are shown, and in which order. */
"use strict";

(() => {
  const { h, $ } = robench;
  const chosen = {};

  const threat = (attack) => attack.threat;
  const table = (row) => robench.board.tables[row.table];

  /* The values of a row in each field; a row passes if one of them was chosen. */
  const FIELDS = {
    dataset: { label: "dataset", of: (row) => [table(row).dataset] },
    model: { label: "model", of: (row) => [row.model], typed: true },
    tuner: { label: "tuner", of: (row) => [row.tuner], typed: true },
    threat: { label: "threat model", of: (row) => table(row).attacks.map(threat) },
    n: { label: "images (n)", of: (row) => [table(row).n, ...table(row).attacks.map((attack) => attack.n)].map(String) },
    checks: { label: "checks", of: (row) => [row.checks] },
    plugin: { label: "plugin", of: (row) => row.plugins },
  };

  robench.ORDERS = [
    ["rank:asc", "rank"], ["clean:desc", "clean accuracy"], ["attacked:desc", "accuracy under attack"],
    ["worst:desc", "worst case"], ["drop:asc", "drop"], ["trained:asc", "trained parameters"],
    ["seconds:asc", "seconds"], ["name:asc", "name"],
  ];

  /** Whether the form lets a row pass. */
  robench.passes = (row) => Object.entries(chosen).every(([field, wanted]) => {
    const { of, typed } = FIELDS[field];
    return typed ? of(row).some((value) => value.toLowerCase().includes(wanted)) : of(row).includes(wanted);
  });

  /** The chosen threat model, which the column "under attack" is sorted by; undefined for all. */
  robench.chosenThreat = () => chosen.threat;

  const values = (field) => [...new Set(robench.board.rows.flatMap(FIELDS[field].of))]
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

  const choose = (field, value) => {
    if (value) chosen[field] = FIELDS[field].typed ? value.toLowerCase() : value;
    else delete chosen[field];
    robench.filtersChanged();
  };

  const typed = (field) => h("label", {}, FIELDS[field].label,
    h("input", { type: "search", name: field, list: `known-${field}`, placeholder: "all", autocomplete: "off",
      oninput: (event) => choose(field, event.target.value.trim()) }),
    h("datalist", { id: `known-${field}` }, values(field).slice(0, 200).map((value) => h("option", { value }))));

  const listed = (field) => {
    const label = robench.choice(FIELDS[field].label, [["", "all"], ...values(field).map((value) => [value, value])],
      (value) => choose(field, value), chosen[field]);
    label.querySelector("select").name = field;
    return label;
  };

  /** Draw the form again for the current rows, and keep what was chosen. */
  robench.drawFilters = () => {
    const form = $("#filters");
    const kept = new Map([...form.querySelectorAll("input")].map((input) => [input.name, input.value]));
    const focused = form.contains(document.activeElement) ? document.activeElement.name : null;
    const order = robench.choice("order", robench.ORDERS, robench.order);
    order.querySelector("select").name = "order";
    form.replaceChildren(
      ...Object.keys(FIELDS).map((field) => (FIELDS[field].typed ? typed(field) : listed(field))), order,
      h("button", { type: "reset" }, "Show all"));
    for (const input of form.querySelectorAll("input")) input.value = kept.get(input.name) || "";
    if (focused) form.elements[focused].focus();
  };

  $("#filters").addEventListener("submit", (event) => event.preventDefault());
  $("#filters").addEventListener("reset", () => {
    for (const field of Object.keys(chosen)) delete chosen[field];
    robench.order("rank:asc");
    robench.filtersChanged();
  });
})();
