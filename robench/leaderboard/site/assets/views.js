/* What methods do beside the attacks of their table: every threat in one row, a norm, corruptions, calibration. */
"use strict";

(() => {
  const { h, $ } = robench;
  const MOST = 60;
  const COLOURS = { clean: "clean", attack: "attack", "worst case": "worst" };
  let chosen = 0;

  const cell = (column, found) => {
    if (!found) return h("td", { class: "quiet" }, robench.spoken("–", "not measured"));
    const [value, low, high, n, bound] = found;
    if (column.unit === "accuracy, %") return h("td", {}, robench.rate([value, low, high, n, null], COLOURS[column.kind] ?? "beside", { bound }));
    const written = (number) => number.toFixed(column.places);
    return h("td", { title: `95 % interval ${written(low)} to ${written(high)}, ${robench.number(n)} images` },
      h("b", {}, written(value)), " ", h("small", { class: "quiet" }, `${written(low)}–${written(high)}`));
  };

  const heading = (column) => h("th", { scope: "col" }, robench.short(column.label),
    [column.note, column.unit === "accuracy, %" ? "" : column.unit, { lower: "lower is better", "": "neither is better" }[column.better] ?? ""]
      .filter(Boolean).map((text) => h("small", { class: "quiet line" }, text)));

  /** Draw the view that was chosen, for the methods that pass the filters. */
  robench.drawViews = () => {
    const { views, tables } = robench.board;
    $("#beside").hidden = !views.length;
    if (!views.length) return;
    chosen = Math.min(chosen, views.length - 1);
    const view = views[chosen];
    const several = tables.length > 1;
    const named = ({ table, about }) => (several ? `${about}: ${tables[table].dataset}, ${robench.number(tables[table].n)} images (${tables[table].images})` : about);
    $("#beside .controls").replaceChildren(robench.choice("show", views.map((each, at) => [at, named(each)]),
      (value) => { chosen = Number(value); robench.drawViews(); }, chosen));
    const mine = robench.board.rows.filter((row) => row.table === view.table);
    const passing = new Set(robench.shownRows());
    const shown = mine.map((row, at) => [row, view.cells[at]]).filter(([row]) => passing.has(row));
    $("#beside figcaption").textContent = `${view.notes.join(" ")} Bars are accuracies; a dash means that it was not measured.`
      + (shown.length > MOST ? ` The first ${MOST} of ${shown.length} methods.` : "");
    $("#beside .wide").replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "method"), view.columns.map(heading))),
      h("tbody", {}, shown.slice(0, MOST).map(([row, cells]) => h("tr", {}, h("th", { scope: "row" }, robench.name(row)),
        cells.map((found, at) => cell(view.columns[at], found)))))));
  };
})();
