/* One run in detail, opened by its id in the address, so that a run can be linked to. */
"use strict";

(() => {
  const { h, $ } = robench;
  const dialog = $("#detail");
  let wanted = null;

  const section = (title, ...children) => h("section", {}, h("h3", {}, title), ...children);
  const wide = (label, table) => h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, table);
  const pairs = (rows) => h("table", { class: "words" }, h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))));
  const grid = (headings, rows) => h("table", {}, h("thead", {}, h("tr", {}, headings.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((value) => h("td", {}, value))))));
  const points = (value) => (value === null || value === undefined ? "–" : value.toFixed(1));

  const accuracy = ({ dataset, lines, classes }) => section(`Accuracy on ${dataset}`,
    wide("Accuracy", grid(["", "accuracy, %", "drop", ...(classes ? ["mean over classes", "worst class"] : [])], lines.map((line) => [
      h("span", {}, line.label, line.threat ? h("span", { class: "quiet block" }, `${line.threat}, n=${robench.number(line.rate[3])}`) : null),
      robench.rate(line.rate, ["clean", "certified"].includes(line.label) ? line.label : line.drop === null ? "worst" : "attack", { bound: line.bound }), points(line.drop),
      ...(classes ? [points(line.macro), line.lowest ? [h("span", {}, `${line.class} `), robench.rate(line.lowest, "attack")] : "–"] : []),
    ]))),
    classes ? h("details", {}, h("summary", {}, "Each class"),
      wide("Accuracy of each class", grid(["class", "images", ...classes.columns], classes.rows.map(([name, n, ...rates]) => [name, robench.number(n), ...rates.map(points)]))))
      : h("p", { class: "quiet" }, "The record keeps no labels, so there are no figures by class."));

  /* Accuracy against queries of the attacks that asked: figures, and a canvas that is drawn once it stands on the page. */
  const queries = ({ dataset, queries: curves }) => {
    if (!curves.length) return null;
    const last = Math.max(...curves.map(({ points }) => points.at(-1)[0]));
    const at = [0, ...[1, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((each) => each < last), last];
    const right = ({ points }, number) => (number > points.at(-1)[0] ? null : points.findLast(([from]) => from <= number)[1]);
    return section(`Accuracy against queries on ${dataset}`,
      h("div", { class: "chart" }, h("canvas", { class: "queries", role: "img", "data-curves": JSON.stringify(curves), "aria-label": `Accuracy against queries of ${curves.map(({ label }) => label).join(", ")}; the table below has the figures.` })),
      wide("Accuracy against queries", grid(["after queries", ...at.map(robench.number)], curves.map((curve) => [
        h("span", {}, curve.label, h("span", { class: "quiet block" }, curve.about)), ...at.map((number) => points(right(curve, number)))]))));
  };

  let charts = [];
  const drawQueries = () => {
    charts.forEach((chart) => chart.destroy());
    charts = [...dialog.querySelectorAll("canvas.queries")].map((canvas) => new Chart(canvas, {
      type: "line",
      // A logarithmic axis has no 0, so clean accuracy stands left of the first query.
      data: { datasets: JSON.parse(canvas.dataset.curves).map(({ label, points: own }, number) => ({
        label, data: own.map(([x, y]) => ({ x: x || 0.5, y })), stepped: "before", pointRadius: 0, borderWidth: 2, borderDash: number ? [6, 3] : [],
        borderColor: robench.seriesColour(number), backgroundColor: robench.seriesColour(number) })) },
      options: { animation: false, maintainAspectRatio: false, responsive: true, interaction: { mode: "nearest", intersect: false },
        scales: { y: { ...robench.axis("accuracy, %"), min: 0, max: 100 },
          x: { ...robench.axis("queries for each image"), type: "logarithmic", min: 0.5, ticks: { color: robench.colour("ink"), callback: (value) => (Number.isInteger(Math.log10(value)) ? robench.number(value) : null) } } },
        plugins: { legend: { position: "bottom", align: "start", labels: { color: robench.colour("ink") } },
          tooltip: { callbacks: { title: ([item]) => robench.counted(item.raw.x < 1 ? 0 : item.raw.x, "query", "queries"), label: ({ dataset, raw }) => `${dataset.label}: ${raw.y.toFixed(1)}` } } } },
    }));
  };

  const list = (checks) => wide("Checks", h("table", { class: "words checks" }, h("thead", {}, h("tr", {}, ["verdict", "check", "figures"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, checks.map((check) => h("tr", {}, h("td", {}, robench.badge(check.verdict)), h("td", {}, check.name, check.attack ? h("span", { class: "quiet block" }, check.attack) : null), h("td", {}, check.reason))))));

  /* Problems stand first and open; what passed is one click away. */
  const checks = (run) => {
    const problems = run.checks.filter((check) => check.verdict !== "pass");
    const passed = run.checks.filter((check) => check.verdict === "pass");
    if (!run.checks.length) return section("Checks", h("p", { class: "quiet" }, "Nothing was checked. ", h("code", {}, `robench certify ${run.run}`), " checks it now."));
    return section("Checks", h("p", {}, problems.length ? `${problems.length} of ${run.checks.length} checks did not pass:` : `All ${run.checks.length} checks pass.`),
      problems.length ? list(problems) : null, passed.length ? h("details", {}, h("summary", {}, robench.counted(passed.length, "check that passed", "checks that passed")), list(passed)) : null);
  };

  const gallery = (rows) => (typeof rows === "string" ? h("p", { class: "quiet" }, rows)
    : rows.map(({ title, pictures }) => h("div", { class: "gallery", role: "group", "aria-label": title }, h("h4", {}, title),
      pictures.map((picture) => h("figure", { class: picture.right === false ? "wrong" : null },
        h("img", { src: picture.source, alt: `${title}: ${picture.title}` }),
        h("figcaption", {}, h("b", {}, picture.title), picture.right === null ? null : h("span", { class: "mark" }, picture.right ? "✓ right" : "✕ wrong"), h("span", {}, picture.text)))))));

  const rowOf = (id) => robench.board.rows.find((row) => row.runs.some((run) => run.run === id));

  const seeds = (row, id) => {
    const own = row.runs.find((run) => run.run === id);
    const same = row.runs.filter((run) => run !== own);
    const at = robench.ranking(robench.board.tables[row.table]);
    return section("Seeds", h("p", {}, `This run has seed ${own.seed}.`, same.length ? " Other seeds: " : " There are no other seeds.",
      same.map((run, place) => [place ? ", " : null, h("a", { href: robench.linkTo(run.run), onclick: (event) => { event.preventDefault(); robench.choose({ run: run.run }); } }, `seed ${run.seed}`),
        ` (clean ${run.clean.toFixed(1)}${at === undefined ? "" : `, worst case ${run.worst[at].toFixed(1)}`})`])));
  };

  const show = (...children) => {
    dialog.replaceChildren(h("div", { class: "bar-top" }, h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")), ...children.flat());
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    robench.$("#detail .close").focus({ focusVisible: false });
  };

  /** Called by the script of a run, once it is loaded. */
  robench.opened = (run) => {
    if (run.run !== wanted) return;
    const row = rowOf(run.run);
    show(h("h2", { id: "detail-title" }, run.title),
      h("p", {}, robench.badge(row.runs.find((each) => each.run === run.run).checks), " run ", h("code", {}, run.run), " · ", h("a", { href: `records/${run.run}.json`, download: `${run.run}.json` }, "Download the record")),
      run.warnings.map((text) => h("p", { class: "warning" }, "Warning: ", text)), checks(run), run.notes.map((text) => h("p", { class: "quiet" }, "Data: ", text)),
      section("Command", robench.command(run.command)), run.measured.map(accuracy), run.measured.map(queries), seeds(row, run.run),
      section("Images", gallery(run.gallery)), section("Run", pairs(run.facts)), section("Plugins", pairs(run.plugins)),
      section("Versions and times", h("details", {}, h("summary", {}, "Show"), pairs([...run.versions, ...run.seconds.map(([stage, seconds]) => [`time, ${stage}`, `${seconds.toFixed(1)} s`])]))));
    drawQueries();
  };

  /** Open the run that the address names, or close the one that is open. */
  robench.follow = () => {
    if (robench.state.run && robench.state.run === wanted && dialog.open) return;
    wanted = robench.state.run;
    if (!wanted) {
      if (dialog.open) dialog.close();
      return;
    }
    const run = wanted;
    if (!rowOf(run)) {
      show(h("h2", { id: "detail-title" }, `Run ${run}`), h("p", {}, "This page has no such run."));
      return;
    }
    const script = h("script", { src: `${robench.board.folder}/runs/${run}.js`, onload: () => script.remove(), onerror: () => {
      script.remove();
      show(h("h2", { id: "detail-title" }, `Run ${run}`), h("p", {}, "Its details cannot be loaded, because the page was written again. Reload it."));
    } });
    document.head.append(script);
  };

  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    wanted = null;
    if (robench.state.run) robench.choose({ run: "" });
  });
})();
