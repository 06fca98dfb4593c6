/* The table of all rows, in groups of comparable rows. */
"use strict";

(() => {
  const { h, $ } = robench;
  let tabulator = null;
  let built = null;

  const attacksOf = (row) => robench.board.tables[row.table].attacks;
  const short = (attack) => `${attack.label.split(":")[0]} ${attack.threat.split(" ")[1]}`;
  const full = (attack) => `${attack.label} (${attack.threat}, n=${robench.number(attack.n)})`;

  const underAttack = (row) => {
    const wanted = robench.chosenThreat();
    const rates = row.attacks.filter((_, at) => !wanted || attacksOf(row)[at].threat === wanted);
    return rates.length ? Math.min(...rates.map((rate) => rate[0])) : null;
  };

  /* What each column is sorted by. */
  const VALUES = {
    rank: (row) => row.order,
    name: (row) => `${row.tuner}\n${row.model}`,
    clean: (row) => row.clean[0],
    attacked: underAttack,
    worst: (row) => (row.worst ? row.worst[0] : null),
    drop: (row) => row.drop,
    trained: (row) => row.trained,
    seconds: (row) => row.seconds,
    seed: (row) => row.seed,
    checks: (row) => ["pass", "warn", "incomplete", "fail", "none"].indexOf(row.checks),
  };

  /* Tables keep their order however rows are sorted; missing values come last. */
  const sorter = (field) => (_a, _b, first, second, _column, direction) => {
    const [one, two] = [first.getData(), second.getData()];
    const sign = direction === "asc" ? 1 : -1;
    if (one.table !== two.table) return sign * (one.table - two.table);
    const [a, b] = [VALUES[field](one), VALUES[field](two)];
    if (a === b) return sign * (one.order - two.order);
    if (a === null || b === null) return sign * (a === null ? 1 : -1);
    return a < b ? -1 : 1;
  };

  const rank = (cell) => {
    const { rank: place, sharing } = cell.getData();
    const shared = sharing > 1;
    const words = shared ? `rank ${place}, shared by ${sharing} rows` : `rank ${place}`;
    return h("span", { class: "rank", title: words, "aria-label": words }, String(place), shared ? h("span", { class: "shared" }, "=") : null);
  };

  const attacked = (row) => row.attacks.map((rate, at) => robench.rate(rate, "attack", short(attacksOf(row)[at])));

  /* On a narrow screen the other columns are hidden, and the name shows what matters most of them. */
  const name = (cell) => {
    const row = cell.getData();
    return h("div", { class: "name" },
      h("a", { href: `#${row.run}` }, row.tuner),
      h("span", { class: "quiet" }, `${row.model}, seed ${row.seed}`),
      h("span", { class: "card" }, robench.rate(row.clean, "clean", "clean"), attacked(row),
        row.worst ? robench.rate(row.worst, "worst", "worst case") : null, robench.badge(row.checks)));
  };

  const column = (field, title, formatter, more = {}) =>
    ({ field, title, formatter, sorter: sorter(field), headerSortStartingDir: "desc", vertAlign: "top", ...more });
  const number = (format) => (cell) => (cell.getValue() === null ? "–" : format(cell.getValue()));
  const ascending = { headerSortStartingDir: "asc" };
  const right = { ...ascending, hozAlign: "right", headerHozAlign: "right" };

  const columns = () => [
    column("rank", "#", rank, { width: 58, hozAlign: "right", ...ascending, responsive: 0 }),
    column("name", "tuner, model", name, { minWidth: 170, widthGrow: 3, ...ascending, responsive: 0 }),
    column("clean", "clean", (cell) => robench.rate(cell.getData().clean, "clean"), { minWidth: 130, responsive: 2 }),
    column("attacked", "under attack", (cell) => h("div", { class: "stack" }, attacked(cell.getData())), { minWidth: 270, widthGrow: 3, responsive: 3 }),
    column("worst", "worst case", (cell) => (cell.getData().worst ? robench.rate(cell.getData().worst, "worst") : "–"), { minWidth: 130, responsive: 1 }),
    column("drop", "drop", number((value) => value.toFixed(1)), { width: 78, ...right, responsive: 5 }),
    column("checks", "checks", (cell) => robench.badge(cell.getData().checks), { width: 94, ...ascending, responsive: 4 }),
    column("trained", "trained", number(robench.number), { width: 104, ...right, print: false, responsive: 7 }),
    column("seconds", "seconds", number((value) => robench.number(Math.round(value))), { width: 98, ...right, print: false, responsive: 8 }),
    column("run", "run", (cell) => h("code", {}, cell.getValue()), { width: 126, print: false, responsive: 9, headerSort: false }),
  ];

  const heading = (at, count, _rows, group) => {
    const table = robench.board.tables[at];
    const toggle = h("button", { type: "button", class: "toggle", value: at, "aria-expanded": String(group.isVisible()), "aria-label": `Rows of ${table.caption}`, onclick: () => {
      group.toggle();
      // Tabulator removes and adds the focused button twice in this frame, as the height changes.
      requestAnimationFrame(() => requestAnimationFrame(() => $(`#table .toggle[value="${at}"]`).focus()));
    } });
    return h("div", { class: "group" }, toggle, h("strong", {}, table.caption), ` · ${count} ${count === 1 ? "row" : "rows"}`,
      h("span", { class: "quiet" }, table.attacks.map(full).join(" · ") || "no attack",
        table.worst_eps ? ` · worst case at ${table.worst_eps}` : null));
  };

  /* Rows are shaded alternately by rank, so that rows of equal rank stand out. */
  const shade = () => {
    let last = null;
    let band = 0;
    robench.board.rows.forEach((row, order) => {
      row.order = order;
      if (last && last.table === row.table && last.rank !== row.rank) band += 1;
      if (!last || last.table !== row.table) band = 0;
      row.band = band % 2;
      last = row;
    });
  };

  const sortByKeyboard = () => {
    for (const header of document.querySelectorAll("#table .tabulator-col.tabulator-sortable")) {
      header.tabIndex = 0;
      header.addEventListener("keydown", (event) => {
        if (event.target === header && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault();
          header.click();
        }
      });
    }
  };

  const count = (rows) => {
    const groups = new Set(rows.map((row) => row.table)).size;
    $("#count").textContent = `${robench.number(rows.length)} of ${robench.number(robench.board.rows.length)} rows in ${groups} ${groups === 1 ? "table" : "tables"}`;
  };

  /** The rows that pass the filters, best first in each table. */
  robench.shownRows = () => robench.board.rows.filter(robench.passes);

  /** Sort by `field:direction`. */
  robench.order = (text) => {
    const [field, direction] = text.split(":");
    tabulator.setSort(field, direction);
  };

  robench.filtersChanged = () => {
    tabulator.refreshFilter();
    if (robench.chosenThreat() !== undefined) tabulator.setSort(tabulator.getSorters().map(({ field, dir }) => ({ column: field, dir })));
    count(robench.shownRows());
    robench.drawPlots();
  };

  /** Build the table, or put new rows into the existing one, which keeps its order and filters. */
  robench.drawTable = () => {
    shade();
    count(robench.shownRows());
    if (tabulator) return built.then(() => tabulator.replaceData(robench.board.rows));
    tabulator = new Tabulator("#table", {
      data: robench.board.rows, index: "key", columns: columns(), layout: "fitColumns", responsiveLayout: "hide",
      maxHeight: "min(80vh, 60rem)", groupBy: "table", groupToggleElement: false, groupHeader: heading, groupHeaderPrint: (...args) => heading(...args).innerHTML,
      placeholder: "No row passes the filters.", printAsHtml: true, printStyled: false, printRowRange: "active", columnHeaderVertAlign: "bottom",
      rowFormatter: (row) => row.getElement().classList.toggle("band", row.getData().band === 1),
    });
    tabulator.on("rowClick", (event, row) => {
      if (!event.target.closest("a") && !String(window.getSelection())) location.hash = row.getData().run;
    });
    built = new Promise((done) => tabulator.on("tableBuilt", done)).then(() => {
      tabulator.setFilter(robench.passes);
      sortByKeyboard();
      $("#table .tabulator-tableholder").setAttribute("aria-label", "Runs");
      document.body.dataset.ready = "true";
    });
    robench.narrow.addEventListener("change", () => tabulator.redraw(true));
    return built;
  };
})();
