/* One run in detail, opened by its id in the address, so that a run can be linked to. */
"use strict";

(() => {
  const { h, $ } = robench;
  const dialog = $("#detail");
  const RUN = /^#([0-9a-f]{12}(?:-[0-9]+)?)$/;
  let wanted = null;

  const section = (title, ...children) => h("section", {}, h("h3", {}, title), ...children);
  const wide = (label, table) => h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, table);
  const pairs = (rows) => h("table", { class: "words" }, h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))));
  const grid = (headings, rows) => h("table", {}, h("thead", {}, h("tr", {}, headings.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((value) => h("td", {}, value))))));
  const points = (value) => (value === null || value === undefined ? "–" : value.toFixed(1));

  const copy = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure context, say over plain HTTP from another machine, there is only the old way.
      const area = h("textarea", { class: "away" }, text);
      dialog.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  const command = (text) => {
    const button = h("button", { type: "button", class: "copy", onclick: () => copy(text, button) }, "Copy");
    return h("div", { class: "command" }, h("pre", { tabindex: 0, "aria-label": "command" }, h("code", {}, text)), button);
  };

  const accuracy = ({ dataset, lines, classes }) => section(`Accuracy on ${dataset}`,
    wide("Accuracy", grid(["", "accuracy, %", "drop", ...(classes ? ["mean over classes", "worst class"] : [])], lines.map((line) => [
      h("span", {}, line.label, line.threat ? h("span", { class: "quiet block" }, `${line.threat}, n=${robench.number(line.rate[3])}`) : null),
      robench.rate(line.rate, line.label === "clean" ? "clean" : line.drop === null ? "worst" : "attack"), points(line.drop),
      ...(classes ? [points(line.macro), line.lowest ? [h("span", {}, `${line.class} `), robench.rate(line.lowest, "attack")] : "–"] : []),
    ]))),
    classes ? h("details", {}, h("summary", {}, "Each class"),
      wide("Accuracy of each class", grid(["class", "images", ...classes.columns], classes.rows.map(([name, n, ...rates]) => [name, robench.number(n), ...rates.map(points)]))))
      : h("p", { class: "quiet" }, "The record keeps no labels, so there are no figures by class."));

  const checks = (run) => section("Checks", run.checks.length
    ? wide("Checks", h("table", { class: "words checks" }, h("thead", {}, h("tr", {}, ["verdict", "check", "figures"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, run.checks.map((check) => h("tr", {}, h("td", {}, robench.badge(check.verdict)), h("td", {}, check.name, check.attack ? h("span", { class: "quiet block" }, check.attack) : null), h("td", {}, check.reason))))))
    : h("p", { class: "quiet" }, "Nothing was checked. ", h("code", {}, `robench certify ${run.run}`), " checks it now."));

  const gallery = (rows) => (typeof rows === "string" ? h("p", { class: "quiet" }, rows)
    : rows.map(({ title, pictures }) => h("div", { class: "gallery", role: "group", "aria-label": title }, h("h4", {}, title),
      pictures.map((picture) => h("figure", { class: picture.right === false ? "wrong" : null },
        h("img", { src: picture.source, alt: `${title}: ${picture.title}` }),
        h("figcaption", {}, h("b", {}, picture.title), picture.right === null ? null : h("span", { class: "mark" }, picture.right ? "✓ right" : "✕ wrong"), h("span", {}, picture.text)))))));

  const seeds = (id) => {
    const own = robench.board.rows.find((row) => row.run === id);
    const same = robench.board.rows.filter((row) => row.table === own.table && row.model === own.model && row.tuner === own.tuner && row.run !== id);
    return section("Seeds", h("p", {}, `This run has seed ${own.seed}.`, same.length ? " Other seeds: " : " There are no other seeds.",
      same.map((row, at) => [at ? ", " : null, h("a", { href: `#${row.run}` }, `seed ${row.seed}`), ` (clean ${row.clean[0].toFixed(1)}${row.worst ? `, worst case ${row.worst[0].toFixed(1)}` : ""})`])));
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
    const row = robench.board.rows.find(({ run: id }) => id === run.run);
    show(h("h2", { id: "detail-title" }, run.title),
      h("p", {}, robench.badge(row.checks), " run ", h("code", {}, run.run), " · ", h("a", { href: `records/${run.run}.json`, download: `${run.run}.json` }, "Download the record")),
      run.warnings.map((text) => h("p", { class: "warning" }, "Warning: ", text)), run.notes.map((text) => h("p", { class: "quiet" }, "Data: ", text)),
      section("Command", command(run.command)), run.measured.map(accuracy), checks(run), seeds(run.run),
      section("Images", gallery(run.gallery)), section("Run", pairs(run.facts)), section("Plugins", pairs(run.plugins)),
      section("Versions and times", h("details", {}, h("summary", {}, "Show"), pairs([...run.versions, ...run.seconds.map(([stage, seconds]) => [`time, ${stage}`, `${seconds.toFixed(1)} s`])]))));
  };

  /** Open the run that the address names, or close the one that is open. */
  robench.follow = () => {
    const found = RUN.exec(location.hash);
    wanted = found && found[1];
    if (!wanted) {
      if (dialog.open) dialog.close();
      return;
    }
    if (!robench.board.rows.some((row) => row.run === wanted)) {
      show(h("h2", { id: "detail-title" }, `Run ${wanted}`), h("p", {}, "This page has no such run."));
      return;
    }
    const script = h("script", { src: `${robench.board.folder}/runs/${wanted}.js`, onload: () => script.remove(), onerror: () => {
      script.remove();
      show(h("h2", { id: "detail-title" }, `Run ${found[1]}`), h("p", {}, "Its details cannot be loaded, because the page was written again. Reload it."));
    } });
    document.head.append(script);
  };

  window.addEventListener("hashchange", robench.follow);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    if (RUN.test(location.hash)) history.replaceState(null, "", location.pathname + location.search);
    wanted = null;
  });

  /** Called by the script with the data: show everything, for the first time or again. */
  robench.show = (board) => {
    const first = !robench.board;
    robench.board = board;
    $("#ranked").textContent = `Ranked by ${board.ranked_by}. All rows of a table have the same images, attacks and n. Rows with the same rank (=) ${board.tested ? "cannot be told apart on these images" : "are equal"}. Open a row for its command, checks and images.`;
    robench.drawFilters();
    robench.drawTable().then(() => { if (first) robench.follow(); });
    robench.drawPlots();
    robench.drawMatrix();
  };
})();
