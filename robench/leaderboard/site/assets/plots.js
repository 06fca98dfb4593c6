/* Clean against adversarial accuracy, and accuracy against epsilon, of the rows that pass the filters. */
"use strict";

(() => {
  const { h, $ } = robench;
  const SHAPES = ["circle", "triangle", "rect", "rectRot", "crossRot", "star", "cross"];
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
  const MOST_LINES = 8;
  const MOST_FAMILIES = 12;
  const MOST_WHISKERS = 60;
  const charts = {};
  const state = { table: null, attack: "worst", curve: null };

  Chart.defaults.font.family = "system-ui, sans-serif";

  const colour = (at) => robench.colour(`c${at % 7}`);
  /* When a colour is used again, the shape is another one. */
  const shape = (at) => SHAPES[(at + Math.floor(at / 7)) % SHAPES.length];
  const open = (at) => ["crossRot", "star", "cross"].includes(shape(at));
  const byRun = () => new Map(robench.board.rows.map((row) => [`${row.table}/${row.run}`, row]));

  const draw = (section, config) => {
    const canvas = $(`#${section} canvas`);
    if (charts[section]) charts[section].destroy();
    canvas.setAttribute("aria-label", config.words);
    charts[section] = new Chart(canvas, config);
  };

  const axis = (text) => ({
    title: { display: true, text, color: robench.colour("ink") },
    grid: { color: robench.colour("line") },
    border: { color: robench.colour("quiet") },
    ticks: { color: robench.colour("ink") },
  });

  const options = (x, y, more) => ({
    animation: false, maintainAspectRatio: false, responsive: true,
    scales: { x: axis(x), y: axis(y) }, ...more,
  });

  const legend = (filter = () => true) => ({
    position: "bottom",
    labels: { usePointStyle: true, color: robench.colour("ink"), boxHeight: 8, filter },
  });

  /* Intervals of points as thin lines; with many points they would only blur. */
  const whiskers = {
    id: "whiskers",
    beforeDatasetsDraw(chart) {
      const points = chart.data.datasets.flatMap((set, at) => (chart.isDatasetVisible(at) ? set.data : [])).filter((point) => point.row);
      if (points.length > MOST_WHISKERS) return;
      const { ctx, scales: { x, y } } = chart;
      ctx.save();
      ctx.strokeStyle = robench.colour("quiet");
      ctx.globalAlpha = 0.55;
      for (const { x: px, y: py, across, upward } of points) {
        ctx.beginPath();
        ctx.moveTo(x.getPixelForValue(across[1]), y.getPixelForValue(py));
        ctx.lineTo(x.getPixelForValue(across[2]), y.getPixelForValue(py));
        ctx.moveTo(x.getPixelForValue(px), y.getPixelForValue(upward[1]));
        ctx.lineTo(x.getPixelForValue(px), y.getPixelForValue(upward[2]));
        ctx.stroke();
      }
      ctx.restore();
    },
  };

  /* Rows that no other row beats in both accuracies. */
  const front = (points) => {
    const best = [];
    for (const point of [...points].sort((a, b) => b.x - a.x || b.y - a.y)) {
      if (!best.length || point.y > best[best.length - 1].y) best.push(point);
    }
    return best.reverse();
  };

  const family = (row, several) => (several ? row.model : row.tuner).split(":")[0];

  const pareto = (rows) => {
    const tables = [...new Set(rows.map((row) => row.table))].filter((at) => robench.board.tables[at].attacks.length);
    $("#pareto").hidden = !tables.length;
    if (!tables.length) return;
    const sizes = new Map(tables.map((at) => [at, 0]));
    for (const row of rows) if (sizes.has(row.table)) sizes.set(row.table, sizes.get(row.table) + 1);
    // By its ID: a new table changes the numbers of the others.
    const table = tables.find((at) => robench.board.tables[at].id === state.table) ?? tables.reduce((best, at) => (sizes.get(at) > sizes.get(best) ? at : best));
    const { attacks, worst_eps: radius, caption } = robench.board.tables[table];
    const names = [...(radius ? [["worst", `worst case at ${radius}`]] : []), ...attacks.map((attack, at) => [String(at), `${attack.label} (${attack.threat})`])];
    if (!names.some(([value]) => value === state.attack)) [[state.attack]] = names;
    const [, name] = names.find(([value]) => value === state.attack);
    $("#pareto .controls").replaceChildren(
      robench.choice("table", tables.map((at) => [robench.board.tables[at].id, robench.board.tables[at].caption]), (value) => { state.table = value; robench.drawPlots(); }, robench.board.tables[table].id),
      robench.choice("attack", names, (value) => { state.attack = value; robench.drawPlots(); }, state.attack));
    const points = rows.filter((row) => row.table === table)
      .map((row) => ({ row, across: state.attack === "worst" ? row.worst : row.attacks[Number(state.attack)], upward: row.clean }))
      .map((point) => ({ ...point, x: point.across[0], y: point.upward[0] }));
    const several = new Set(points.map((point) => point.row.model)).size > 1;
    const families = [...new Set(points.map((point) => family(point.row, several)))];
    const shownAs = (point) => Math.min(families.indexOf(family(point.row, several)), MOST_FAMILIES - 1);
    const label = (at) => (at === MOST_FAMILIES - 1 && families.length > MOST_FAMILIES ? `${families.length - at} others` : families[at]);
    const best = front(points);
    const sets = families.slice(0, MOST_FAMILIES).map((_, at) => ({
      label: label(at), data: points.filter((point) => shownAs(point) === at), pointStyle: shape(at),
      backgroundColor: colour(at), borderColor: open(at) ? colour(at) : robench.colour("ink"), pointBorderWidth: open(at) ? 2.5 : 1,
      pointRadius: 6, pointHoverRadius: 8,
    }));
    sets.push({ label: "best trade-offs", data: best.map(({ x, y }) => ({ x, y })), type: "line", stepped: "after", pointRadius: 0, pointHitRadius: 0,
      borderColor: robench.colour("ink"), borderDash: [5, 4], borderWidth: 1.5, pointStyle: "line" });
    draw("pareto", {
      type: "scatter", data: { datasets: sets }, plugins: [whiskers],
      words: `Clean against adversarial accuracy of ${points.length} rows of ${caption}; the best trade-offs are named below.`,
      options: options(`accuracy under attack, %: ${name.split(" (")[0]}`, "clean accuracy, %", {
        onClick: (_event, [hit]) => { if (hit && sets[hit.datasetIndex].data[hit.index].row) location.hash = sets[hit.datasetIndex].data[hit.index].row.run; },
        plugins: { legend: legend(), tooltip: { filter: (item) => Boolean(item.raw.row), callbacks: { label: ({ raw: { row, x, y } }) => `${robench.name(row)}, seed ${row.seed}: clean ${y.toFixed(1)}, attacked ${x.toFixed(1)}` } } },
      }),
    });
    $("#pareto figcaption").replaceChildren(
      `${caption}. ${points.length > MOST_WHISKERS ? "" : "Thin lines are 95 % intervals. "}No row is better in both than these: `,
      ...best.flatMap(({ row, x, y }, at) => [at ? "; " : "", h("a", { href: `#${row.run}` }, robench.name(row)), ` (clean ${y.toFixed(1)}, attacked ${x.toFixed(1)})`]), ".");
  };

  const security = (rows) => {
    const passing = new Set(rows.map((row) => `${row.table}/${row.run}`));
    const known = byRun();
    const lines = (group) => group.lines.filter((line) => passing.has(`${group.table}/${line.run}`));
    const groups = robench.board.curves.filter((group) => lines(group).length);
    const id = (group) => `${robench.board.tables[group.table].id}/${group.name}`;
    $("#security").hidden = !robench.board.curves.length;
    $("#security figure").hidden = $("#security .controls").hidden = !groups.length;
    if (!groups.length) return;
    const group = groups.find((each) => id(each) === state.curve) ?? groups[0];
    $("#security .controls").replaceChildren(robench.choice("attack",
      groups.map((each) => [id(each), `${each.name}: ${robench.board.tables[each.table].caption}`]),
      (value) => { state.curve = value; robench.drawPlots(); }, id(group)));
    const all = lines(group);
    const shown = all.slice(0, MOST_LINES);
    const several = new Set(shown.map((line) => known.get(`${group.table}/${line.run}`).model)).size > 1;
    const band = (line, end, at, fill) => ({ label: "", data: line.points.map((point) => ({ x: point[0], y: point[end] })), pointRadius: 0, pointHitRadius: 0,
      borderWidth: 0, backgroundColor: `${colour(at)}22`, fill });
    const sets = shown.flatMap((line, at) => {
      const row = known.get(`${group.table}/${line.run}`);
      return [
        { label: `${several ? robench.name(row) : row.tuner}, seed ${row.seed}`, run: line.run, data: line.points.map(([x, y, low, high]) => ({ x, y, low, high })), fill: false,
          borderColor: colour(at), backgroundColor: colour(at), pointStyle: shape(at), pointRadius: 5, borderDash: DASHES[at % DASHES.length], borderWidth: 2 },
        band(line, 2, at, false), band(line, 3, at, "-1"),
      ];
    });
    const unit = group.norm === "Linf" ? "Linf, x 255" : `${group.norm}, pixel units`;
    draw("security", {
      type: "line", data: { datasets: sets },
      words: `Accuracy against epsilon of ${shown.length} rows; the figures are in the table and in each row's details.`,
      options: options(`epsilon (${unit})`, "accuracy, %", {
        scales: { x: { ...axis(`epsilon (${unit})`), type: "linear" }, y: { ...axis("accuracy, %"), min: 0, max: 100 } },
        onClick: (_event, [hit]) => { if (hit && sets[hit.datasetIndex].run) location.hash = sets[hit.datasetIndex].run; },
        plugins: { legend: legend(({ text }) => text !== ""), tooltip: { filter: (item) => item.dataset.label !== "",
          callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${raw.y.toFixed(1)} (${raw.low.toFixed(1)}–${raw.high.toFixed(1)})` } } },
      }),
    });
    $("#security figcaption").textContent = `${robench.board.tables[group.table].caption}: ${group.name}. Clean accuracy is at epsilon 0; bands are 95 % intervals.`
      + (all.length > shown.length ? ` The first ${shown.length} of ${all.length} rows by rank; filters choose others.` : "");
  };

  /** Draw both plots for the rows that pass. */
  robench.drawPlots = () => {
    const rows = robench.shownRows();
    pareto(rows);
    security(rows);
  };

  robench.dark.addEventListener("change", () => robench.drawPlots());
})();
