/* Copy or download what is shown: as CSV, Markdown, LaTeX, or BibTeX of what should be cited. */
"use strict";

(() => {
  const { h, $ } = robench;
  const dialog = $("#export");
  const MINUS = "--";

  const figures = (table) => robench.columns(table).filter((column) => column.of);
  const rankText = ([low, high], dash) => (low === high ? String(low) : `${low}${dash}${high}`);
  const title = (column) => [column.title, column.sub.replace(/, n=.*/, "").replace(/^n=.*/, "")].filter(Boolean).join(", ");
  const spread = (rate) => (rate[4] === null ? `${rate[1].toFixed(1)}-${rate[2].toFixed(1)}` : `sd ${rate[4].toFixed(1)}`);

  const tablesShown = (only) => robench.board.tables.map((table, at) => ({ table, rows: only === null || only === at ? robench.sortedRows(at) : [] })).filter(({ rows }) => rows.length);

  const csvCell = (value) => {
    const text = String(value ?? "");
    // A spreadsheet must not read what somebody else wrote as a formula.
    const safe = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  const csv = (tables) => {
    const known = new Map();
    const lines = tables.flatMap(({ table, rows }) => rows.map((row) => {
      const line = { dataset: table.dataset, split: table.split, images: table.images, rank_low: row.rank[0], rank_high: row.rank[1], model: row.model, method: row.name, trained_against: row.against, checks: row.checks };
      for (const column of figures(table)) {
        const name = column.key.replace(/^attack /, "");
        const [percent, low, high, n, deviation] = column.of(row);
        if (percent === null) continue;
        Object.assign(line, { [name]: percent, [`${name} low`]: low, [`${name} high`]: high, [`${name} n`]: n, [`${name} sd`]: deviation });
        if (column.kind === "worst") line[`${name} measured`] = column.bound ? "no" : "yes";
      }
      Object.assign(line, { trained_parameters: row.trained, seconds: row.seconds, runs: row.runs.map((run) => run.run).join(" "), settings: row.settings });
      for (const name of Object.keys(line)) known.set(name, true);
      return line;
    }));
    const names = [...known.keys()];
    return [names, ...lines.map((line) => names.map((name) => line[name]))].map((cells) => cells.map(csvCell).join(",")).join("\n");
  };

  const shown = (rate, bound) => rate[0] === null ? "-" : `${bound ? "<= " : ""}${rate[0].toFixed(1)} (${spread(rate)})`;

  const markdown = (tables) => {
    const cell = (text) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
    return tables.map(({ table, rows }) => {
      const columns = figures(table);
      const names = ["rank", ...(table.model ? [] : ["model"]), "method", "trained against", ...columns.map(title), "checks"];
      const lines = rows.map((row) => [rankText(row.rank, "-"), ...(table.model ? [] : [row.model]), row.name, row.against, ...columns.map((column) => shown(column.of(row), column.bound)), row.checks]);
      return [`${cell(table.caption)}. Accuracy in percent, with the 95 % interval or the deviation over seeds.`, "", ...[names, names.map(() => "---"), ...lines].map((cells, at) => `| ${cells.map(at === 1 ? String : cell).join(" | ")} |`)].join("\n");
    }).join("\n\n");
  };

  const SPECIAL = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  const tex = (text) => text.replace(/[\\~^&%$#_{}]/g, (sign) => SPECIAL[sign] ?? `\\${sign}`);

  const latex = (tables) => ["% \\usepackage{booktabs}", ...tables.map(({ table, rows }) => {
    const columns = figures(table);
    const names = ["", ...(table.model ? [] : ["model"]), "method", ...columns.map(title)].map(tex);
    const line = (row) => [rankText(row.rank, MINUS), ...(table.model ? [] : [tex(row.model)]), tex(row.name),
      ...columns.map((column) => { const rate = column.of(row); return rate[0] === null ? MINUS : `${column.bound ? "$\\leq$ " : ""}${rate[0].toFixed(1)} {\\footnotesize ${rate[4] === null ? `${rate[1].toFixed(1)}${MINUS}${rate[2].toFixed(1)}` : `$\\pm$ ${rate[4].toFixed(1)}`}}`; })];
    return ["\\begin{table}", "\\centering", `\\caption{${tex(table.caption)}. Accuracy in percent, with the 95\\,\\% interval or the deviation over seeds.}`,
      `\\begin{tabular}{r${table.model ? "l" : "ll"}${"r".repeat(columns.length)}}`, "\\toprule", `${names.join(" & ")} \\\\`, "\\midrule", ...rows.map((row) => `${line(row).join(" & ")} \\\\`), "\\bottomrule", "\\end{tabular}", "\\end{table}"].join("\n");
  })].join("\n\n");

  const bibtex = (tables) => {
    const cited = new Set(tables.flatMap(({ rows }) => rows.flatMap((row) => row.papers)));
    return [robench.board.robench, ...new Set([...cited].map((at) => robench.board.papers[at].bibtex))].filter(Boolean).join("\n\n");
  };

  const FORMATS = { CSV: [csv, "csv", "text/csv"], Markdown: [markdown, "md", "text/markdown"], LaTeX: [latex, "tex", "application/x-tex"], BibTeX: [bibtex, "bib", "application/x-bibtex"] };

  /** Open the dialog for one table, or for all that is shown. */
  robench.openExport = (only = null, format = "CSV") => {
    const tables = tablesShown(only);
    const area = h("textarea", { readonly: true, rows: 14, spellcheck: "false", "aria-label": "content" });
    const draw = (name) => {
      format = name;
      area.value = `${FORMATS[name][0](tables)}\n`;
    };
    const choices = h("fieldset", {}, h("legend", {}, "format"), Object.keys(FORMATS).map((name) => h("label", {}, h("input", { type: "radio", name: "format", value: name, checked: name === format, onchange: () => draw(name) }), ` ${name}`)));
    const copy = h("button", { type: "button", onclick: () => robench.copy(area.value, copy) }, "Copy");
    const save = h("button", { type: "button", onclick: () => {
      const [, ending, kind] = FORMATS[format];
      const url = URL.createObjectURL(new Blob([area.value], { type: kind }));
      h("a", { href: url, download: `robench.${ending}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } }, "Download");
    const what = only === null ? `${robench.counted(tables.length, "table")} shown on the page` : robench.board.tables[only].caption;
    dialog.replaceChildren(h("div", { class: "bar-top" }, h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
      h("h2", { id: "export-title" }, format === "BibTeX" ? "Cite robench and the methods" : "Data of what is shown"), h("p", { class: "quiet" }, `${what}, as searched, filtered and sorted. Each run's record is under its name.`),
      choices, area, h("p", { class: "actions" }, copy, " ", save));
    draw(format);
    dialog.showModal();
  };

  $("#data").addEventListener("click", () => robench.openExport());
  $("#cite").addEventListener("click", () => robench.openExport(null, "BibTeX"));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  /** A paper as a link, where it is known to be read. */
  robench.paper = ({ text, url }) => (url ? h("a", { href: url, rel: "noreferrer" }, text) : text);

  /** The list of all papers of the methods on the page. */
  robench.drawPapers = () => {
    $("#papers").hidden = !robench.board.papers.length;
    $("#papers ol").replaceChildren(...robench.board.papers.map((paper) => h("li", {}, robench.paper(paper))));
  };
})();
