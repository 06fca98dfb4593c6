/* The tables: each folds, tells its result in a line, and has a row a method whose runs unfold. */
"use strict";

(() => {
  const { h, $ } = robench;
  const AT_ONCE = 100;
  const PRINTED = 500;
  let everything = false;
  const unfolded = new Set();
  const limits = new Map();

  const byOrder = (table) => {
    const [, key, direction] = /^(.*):(\w+)$/.exec(robench.state.sort) ?? [null, "rank", "asc"];
    const found = robench.columns(table).find((column) => column.key === key);
    return found ? { column: found, direction } : { column: robench.columns(table)[0], direction: "asc" };
  };

  const sorted = (rows, table) => {
    const { column, direction } = byOrder(table);
    const sign = direction === "asc" ? 1 : -1;
    return rows.map((row) => [column.value(row), row]).sort(([a, one], [b, two]) => {
      if (a === b) return one.order - two.order;
      if (a === null || b === null) return a === null ? 1 : -1;
      return a < b ? -sign : sign;
    }).map(([, row]) => row);
  };

  /* Why rows have a verdict: what all of them have in common, in a few words, or else the name of the check. */
  const why = (rows, verdict) => {
    const [first, ...others] = rows.filter((row) => row.checks === verdict)
      .map((row) => row.problems.filter(([own]) => own === verdict).map(([, name, reason]) => (reason.length > 80 ? `check ${name}` : reason)));
    const shared = (first ?? []).filter((reason) => others.every((reasons) => reasons.includes(reason)));
    return shared.length ? h("span", { class: "quiet" }, ` (${shared.join("; ")})`) : null;
  };

  const verdicts = (rows) => {
    const counts = new Map();
    for (const row of rows) counts.set(row.checks, (counts.get(row.checks) ?? 0) + 1);
    const passed = counts.get("pass") ?? 0;
    if (passed === rows.length) return h("span", {}, rows.length === 1 ? "all checks pass" : "all pass all checks");
    const words = { fail: "failed", warn: "with warnings", incomplete: "incomplete", none: "not checked" };
    return h("span", {}, `checks: ${passed} of ${rows.length} pass`, Object.entries(words).filter(([verdict]) => counts.has(verdict))
      .map(([verdict, word]) => [", ", h("span", { class: `verdict ${verdict}` }, `${robench.MARKS[verdict]} ${counts.get(verdict)} ${word}`), why(rows, verdict)]));
  };

  const best = (rows, table) => {
    const [first] = rows;
    const equals = rows.filter((row) => row !== first && row.rank[0] <= first.rank[0]).length;
    const at = robench.ranking(table);
    const ball = table.balls[at];
    const found = at === undefined ? null : first.worst[at];
    const what = ball ? [`Best worst case at ${ball.at}: `, h("b", {}, robench.name(first)), `, ${ball.measured ? "" : "at most "}${found[0].toFixed(1)} %`,
      h("span", { class: "quiet" }, ` (${found[1].toFixed(1)}–${found[2].toFixed(1)})`)] : [`Best by ${table.ranked_by}: `, h("b", {}, robench.name(first))];
    return [h("span", {}, what), !equals && rows.length > 1 && ["worst", "clean", "adversarial"].includes(table.sort) ? h("span", { class: "quiet" }, ", told apart from all others") : null, equals ? h("span", { class: "quiet" }, `; ${robench.counted(equals, "other")} may be as good`) : null];
  };

  /* A dataset's name, and apart from it the settings that it has. */
  const heading = (table) => {
    const [name, ...settings] = table.dataset.split(":");
    return [h("h2", {}, table.model ? `${table.model.split(":")[0]} on ${name}` : name),
      h("span", { class: "quiet facts" }, ` ${robench.number(table.n)} ${table.split} images of ${table.resolution}${settings.length ? `, ${settings.join(":").replaceAll(",", ", ")}` : ""}${table.precision ? `, ${table.precision}` : ""}`)];
  };

  const runs = (row) => row.runs.map((run) => run.run);

  const inFull = (row, table, columns) => {
    const shown = new Set(columns.map((column) => column.key));
    const hidden = robench.columns(table).filter((column) => !shown.has(column.key));
    const problems = row.problems.map(([verdict, name, reason, many]) => h("li", {}, robench.badge(verdict), " ", h("b", {}, name), `: ${reason}`, row.runs.length > 1 ? h("span", { class: "quiet" }, ` (in ${many} of ${row.runs.length} runs; figures of one)`) : null));
    return h("div", { class: "full" },
      problems.length || row.warnings.length ? h("ul", { class: "problems" }, problems, row.warnings.map((text) => h("li", {}, "Warning: ", text))) : null,
      hidden.length ? h("dl", { class: "figures" }, hidden.map((column) => h("div", {}, h("dt", {}, column.title, column.sub ? h("small", {}, ` ${column.sub}`) : null), h("dd", {}, column.cell(row))))) : null,
      h("p", { class: "quiet" }, "Command of each run, without its seed:"), robench.command(row.settings),
      row.papers.length ? h("p", { class: "quiet" }, "Papers: ", row.papers.map((at, place) => [place ? "; " : "", robench.paper(robench.board.papers[at])])) : null);
  };

  const runRows = (row, columns) => row.runs.map((run) => h("tr", { class: "run" }, columns.map((column) => {
    if (column.kind === "method") return h("th", { scope: "row" }, h("a", { href: robench.linkTo(run.run), onclick: (event) => { event.preventDefault(); robench.choose({ run: run.run }); } }, `seed ${run.seed}`), " ", h("code", {}, run.run));
    const value = column.run ? column.run(run) : null;
    return h("td", { class: column.kind }, typeof value === "number" ? value.toFixed(1) : value);
  })));

  const methodCell = (row, table, body) => {
    const open = unfolded.has(row.key);
    const button = h("button", { type: "button", class: "unfold", "data-at": row.key, "aria-expanded": String(open), onclick: () => {
      const now = !unfolded.has(row.key);
      if (now) unfolded.add(row.key); else unfolded.delete(row.key);
      button.setAttribute("aria-expanded", String(now));
      body.classList.toggle("open", now);
      fill(body, row, table);
    } }, h("span", { class: "name" }, row.name));
    const narrow = $("#tables").clientWidth < 560;
    return h("th", { scope: "row", class: "method" }, button, h("span", { class: "quiet under" },
      table.model ? "" : `${robench.short(row.model)} · `, robench.counted(row.runs.length, "run"), narrow ? [" · ", robench.badge(row.checks)] : null,
      narrow && row.against !== "-" ? ` · against ${row.against}` : null));
  };

  /* Put what a method unfolds under its row, or take it away. */
  const fill = (body, row, table) => {
    while (body.children.length > 1) body.lastChild.remove();
    if (!unfolded.has(row.key)) return;
    const columns = body.columns;
    body.append(...runRows(row, columns), h("tr", { class: "more" }, h("td", { colspan: columns.length }, inFull(row, table, columns))));
  };

  const methodRow = (row, table, columns) => {
    const body = h("tbody", { class: unfolded.has(row.key) ? "method open" : "method" });
    body.columns = columns;
    body.append(h("tr", { onclick: (event) => { if (!event.target.closest("a, button") && !String(window.getSelection())) body.querySelector(".unfold").click(); } },
      columns.map((column) => (column.kind === "method" ? methodCell(row, table, body) : h("td", { class: `${column.kind}${column.main ? " main" : ""}` }, column.cell(row))))));
    fill(body, row, table);
    return body;
  };

  const head = (table, columns) => {
    const order = byOrder(table);
    return h("thead", {}, h("tr", {}, columns.map((column) => {
      const mine = order.column.key === column.key;
      const next = mine ? (order.direction === "asc" ? "desc" : "asc") : column.first;
      return h("th", { scope: "col", class: `${column.kind}${column.main ? " main" : ""}`, "aria-sort": mine ? `${order.direction}ending` : null },
        h("button", { type: "button", class: "sort", "data-key": column.key, "data-at": `${table.id} ${column.key}`, title: column.main ? "this ranks the table" : null, onclick: () => robench.choose({ sort: column.key === "rank" && next === "asc" ? "" : `${column.key}:${next}` }) }, column.title), column.sub ? h("small", {}, column.sub) : null);
    })));
  };

  /** The methods of a table that pass, in the order that was chosen. */
  robench.sortedRows = (at) => sorted(robench.shownRows().filter((row) => row.table === at), robench.board.tables[at]);

  const content = (table, rows, width) => {
    const columns = robench.columnsWithin(table, width);
    const limit = limits.get(table.id) ?? AT_ONCE;
    return [
      h("table", { class: "methods" }, h("caption", { class: "away" }, `Methods on ${table.caption}, ranked by ${table.ranked_by}`), head(table, columns),
        sorted(rows, table).slice(0, limit).map((row) => methodRow(row, table, columns))),
      rows.length > limit ? h("button", { type: "button", class: "further", onclick: () => { limits.set(table.id, limit + 500); robench.drawTables(); } },
        `Show ${robench.number(Math.min(500, rows.length - limit))} more of ${robench.number(rows.length)} methods`) : null,
      h("p", { class: "quiet reading" }, `Ranked by ${table.ranked_by}. ${table.reading}`, table.more ? ` ${robench.counted(table.more, "more row")} were ranked with these and are left out.` : "", " ",
        h("button", { type: "button", class: "link", onclick: () => robench.openExport(robench.board.tables.indexOf(table)) }, "Copy or download this table")),
    ];
  };

  const nothing = () => (robench.board.rows.length
    ? h("p", { class: "empty" }, "No method passes the search and the filters. ", h("button", { type: "button", onclick: () => $("#filters").reset() }, "Show all"))
    : h("div", { class: "empty" }, h("h2", {}, "No results yet"), h("p", {}, "Nothing has been measured into this folder of records. This command measures a first row, in a minute or two and without a download:"),
      robench.command(`robench run --tuner tecoa --attack pgd-resnet20 --results ${robench.board.results}`),
      h("p", {}, document.body.dataset.live ? "It appears here by itself." : ["Then write this page again: ", h("code", {}, `robench leaderboard --results ${robench.board.results} --format html`)])));

  /* The tables that are open: those that were chosen, or else the first. */
  const opened = (shown) => {
    const chosen = robench.state.open.split(",").filter(Boolean);
    return new Set(robench.state.open ? chosen : [shown[0]]);
  };

  /** Draw all tables that have a row to show; on paper every table is open. */
  robench.drawTables = () => {
    const { board } = robench;
    const place = $("#tables");
    const groups = new Map();
    for (const row of robench.shownRows()) {
      if (!groups.has(row.table)) groups.set(row.table, []);
      groups.get(row.table).push(row);
    }
    const shown = [...groups.keys()].map((at) => board.tables[at].id);
    const open = opened(shown);
    const width = everything ? 1200 : place.clientWidth - 2;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    place.replaceChildren(...(groups.size ? [...groups].map(([at, rows]) => {
      const table = board.tables[at];
      const isOpen = everything || open.has(table.id);
      const box = h("div", { class: "content" }, isOpen ? content(table, rows, width) : null);
      const details = h("details", { class: "board", id: `t${table.id}`, open: isOpen, ontoggle: () => {
        if (details.open === opened(shown).has(table.id) || everything) return;
        const now = opened(shown);
        if (details.open) now.add(table.id); else now.delete(table.id);
        robench.choose({ open: [...now].join(",") || "none" }, true);
        if (details.open && !box.children.length) box.append(...content(table, rows, place.clientWidth - 2).filter(Boolean));
      } },
      h("summary", {}, heading(table), h("span", { class: "result" }, best(rows, table), h("span", {}, "; ", robench.counted(rows.length, "method"), "; ", verdicts(rows), "."))), box);
      return details;
    }) : [nothing()]));
    if (focused) place.querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus();
    const nRows = [...groups.values()].reduce((sum, rows) => sum + rows.length, 0);
    $("#count").textContent = robench.filtered() ? `${robench.number(nRows)} of ${robench.counted(board.rows.length, "method")} in ${robench.counted(groups.size, "table")}` : "";
  };

  /** Number the rows, in the order in which they came: best first in each table. */
  robench.numberRows = () => {
    for (const [order, row] of robench.board.rows.entries()) {
      row.order = order;
      row.key = `${robench.board.tables[row.table].id}/${runs(row)[0]}`;
    }
  };

  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (!robench.board || Math.abs(contentRect.width - width) < 2) return;
    width = contentRect.width;
    robench.drawTables();
  }).observe($("#tables"));

  window.addEventListener("beforeprint", () => { everything = robench.shownRows().length <= PRINTED; robench.drawTables(); });
  window.addEventListener("afterprint", () => { everything = false; robench.drawTables(); });
})();
