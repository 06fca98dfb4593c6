/* Clean against adversarial accuracy of the methods of one table. */
"use strict";

(() => {
  const { h, $ } = robench;
  const SHAPES = ["circle", "triangle", "rect", "rectRot", "crossRot", "star", "cross"];
  const MOST_WHISKERS = 24;
  const MOST_NAMES = 40;
  const charts = {};
  const state = { table: null, attack: null };

  Chart.defaults.font.family = "system-ui, sans-serif";

  robench.seriesColour = (at) => robench.colour(`c${at % 7}`);
  /* When a colour is used again, the shape is another one. */
  robench.seriesShape = (at) => SHAPES[(at + Math.floor(at / 7)) % SHAPES.length];
  const open = (at) => ["crossRot", "star", "cross"].includes(robench.seriesShape(at));

  /** Draw a chart in the place of the one that its section had. */
  robench.chart = (section, config) => {
    const canvas = $(`#${section} canvas`);
    if (charts[section]) charts[section].destroy();
    canvas.setAttribute("aria-label", config.words);
    charts[section] = new Chart(canvas, config);
  };

  robench.axis = (text) => ({
    title: { display: true, text, color: robench.colour("ink") },
    grid: { color: robench.colour("line") },
    border: { color: robench.colour("quiet") },
    ticks: { color: robench.colour("ink") },
  });

  /* Intervals as thin lines, those of the front only if there are many; and names beside the points. */
  const drawn = {
    id: "drawn",
    beforeDatasetsDraw(chart) {
      const { ctx, scales: { x, y } } = chart;
      const { left, right, top, bottom } = chart.chartArea;
      const points = chart.options.points.filter((point) => chart.options.points.length <= MOST_WHISKERS || point.best);
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, right - left, bottom - top);
      ctx.clip();
      ctx.strokeStyle = robench.colour("quiet");
      ctx.globalAlpha = 0.5;
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
    afterDatasetsDraw(chart) {
      const { ctx, chartArea, scales: { x, y } } = chart;
      ctx.save();
      ctx.font = "12px system-ui, sans-serif";
      ctx.textBaseline = "top";
      const most = robench.narrow.matches ? 22 : 44;
      const named = [...chart.options.points].sort((a, b) => b.best - a.best || a.row.order - b.row.order)
        .map((point, at) => ({ x: x.getPixelForValue(point.x), y: y.getPixelForValue(point.y), label: at < MOST_NAMES ? robench.shortened(robench.name(point.row), most) : "" }));
      for (const { text, x: left, y: top } of robench.placed(named, (label) => ctx.measureText(label).width, chartArea)) {
        ctx.globalAlpha = 0.85;
        ctx.fillStyle = robench.colour("paper");
        ctx.fillRect(left - 2, top - 1, ctx.measureText(text).width + 4, 15);
        ctx.globalAlpha = 1;
        ctx.fillStyle = robench.colour("ink");
        ctx.fillText(text, left, top);
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

  /* An axis that holds all intervals. */
  const span = (rates) => {
    const [low, high] = [Math.min(...rates.map((rate) => rate[1])), Math.max(...rates.map((rate) => rate[2]))];
    const step = high - low > 20 ? 5 : 2;
    return { min: Math.max(0, step * Math.floor(low / step)), max: Math.min(100, step * Math.ceil(high / step)) };
  };

  const pareto = (rows) => {
    const tables = [...new Set(rows.map((row) => row.table))].filter((at) => robench.board.tables[at].attacks.length);
    $("#pareto").hidden = !tables.length;
    if (!tables.length) return;
    // By its ID: a new table changes the numbers of the others.
    const table = tables.find((at) => robench.board.tables[at].id === state.table) ?? tables[0];
    const { attacks, balls, ball, caption } = robench.board.tables[table];
    const names = [...balls.map((each, at) => [`worst ${at}`, `${each.measured ? "worst case" : "worst case, an upper bound,"} at ${each.at}`]), ...attacks.map((attack, at) => [`attack ${at}`, `${attack.label} (${attack.ball}, ${attack.knowledge})`])];
    const chosen = names.find(([value]) => value === state.attack) ?? names[ball ?? 0];
    const [kind, place] = chosen[0].split(" ");
    $("#pareto .controls").replaceChildren(
      robench.choice("table", tables.map((at) => [robench.board.tables[at].id, robench.board.tables[at].caption]), (value) => { state.table = value; robench.drawPlots(); }, robench.board.tables[table].id),
      robench.choice("attack", names, (value) => { state.attack = value; robench.drawPlots(); }, chosen[0]));
    const points = rows.filter((row) => row.table === table)
      .map((row) => ({ row, across: kind === "worst" ? row.worst[Number(place)] : row.attacks[Number(place)], upward: row.clean }))
      .map((point) => ({ ...point, x: point.across[0], y: point.upward[0] }));
    const best = front(points);
    for (const point of points) point.best = best.includes(point);
    const families = [...new Set(points.map((point) => point.row.against))];
    const sets = families.slice(0, 7).map((name, at) => ({
      label: name === "-" ? "not trained" : `trained on ${name}`, data: points.filter((point) => Math.min(families.indexOf(point.row.against), 6) === at), pointStyle: robench.seriesShape(at),
      backgroundColor: robench.seriesColour(at), borderColor: open(at) ? robench.seriesColour(at) : robench.colour("ink"), pointBorderWidth: open(at) ? 2.5 : 1,
      pointRadius: 6, pointHoverRadius: 8,
    }));
    sets.push({ label: "best trade-offs", data: best.map(({ x, y }) => ({ x, y })), type: "line", stepped: "after", pointRadius: 0, pointHitRadius: 0,
      borderColor: robench.colour("ink"), borderDash: [5, 4], borderWidth: 1.5, pointStyle: "line" });
    robench.chart("pareto", {
      type: "scatter", data: { datasets: sets }, plugins: [drawn],
      words: `Clean against adversarial accuracy of ${points.length} methods of ${caption}; the best trade-offs are named below.`,
      options: {
        points, animation: false, maintainAspectRatio: false, responsive: true,
        scales: {
          x: { ...robench.axis(`accuracy, %: ${chosen[1]}`), ...span(points.map(({ across }) => across)) },
          y: { ...robench.axis("clean accuracy, %"), ...span(points.map(({ upward }) => upward)) },
        },
        onClick: (_event, [hit]) => { const row = hit && sets[hit.datasetIndex].data[hit.index].row; if (row) robench.choose({ run: row.runs[0].run }); },
        plugins: {
          legend: { position: "bottom", align: "start", labels: { usePointStyle: true, color: robench.colour("ink"), boxHeight: 8 } },
          tooltip: { filter: (item) => Boolean(item.raw.row), callbacks: { label: ({ raw: { row, x, y } }) => `${robench.name(row)}: clean ${y.toFixed(1)}, attacked ${x.toFixed(1)}` } },
        },
      },
    });
    $("#pareto figcaption").replaceChildren(
      `${caption}. Thin lines are 95 % intervals${points.length > MOST_WHISKERS ? ", of the best trade-offs alone" : ""}. No method is better in both than these: `,
      ...best.flatMap(({ row, x, y }, at) => [at ? "; " : "", robench.name(row), ` (clean ${y.toFixed(1)}, attacked ${x.toFixed(1)})`]), ".");
  };

  /** Draw both plots for the rows that pass. */
  robench.drawPlots = () => {
    const rows = robench.shownRows();
    pareto(rows);
    robench.drawCurves(rows);
  };

  for (const changed of [robench.dark, robench.narrow]) changed.addEventListener("change", () => robench.drawPlots());
})();
