/* Accuracy against epsilon: a line a method, named at its end. */
"use strict";

(() => {
  const { h, $ } = robench;
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
  const MOST = 8;
  const GAP = 15;
  let chosen = null;

  /* Intervals, each line's a little aside of the others', and the name or number of each line at its end. */
  const drawn = {
    id: "drawn",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea, scales: { x, y } } = chart;
      const sets = chart.data.datasets;
      ctx.save();
      for (const [at, set] of sets.entries()) {
        ctx.strokeStyle = set.borderColor;
        ctx.lineWidth = 1.2;
        for (const point of set.data.filter(({ x: eps }) => eps > 0)) {
          const px = x.getPixelForValue(point.x) + (at - (sets.length - 1) / 2) * 3;
          ctx.beginPath();
          ctx.moveTo(px, y.getPixelForValue(point.low));
          ctx.lineTo(px, y.getPixelForValue(point.high));
          ctx.stroke();
        }
      }
      ctx.font = "12px system-ui, sans-serif";
      ctx.textBaseline = "middle";
      const ends = sets.map((set) => set.data.at(-1));
      const heights = robench.apart(ends.map((end) => y.getPixelForValue(end.y)), GAP, chartArea);
      for (const [at, set] of sets.entries()) {
        const from = [x.getPixelForValue(ends[at].x) + 7, y.getPixelForValue(ends[at].y)];
        const left = chartArea.right + 16;
        ctx.strokeStyle = set.borderColor;
        ctx.lineWidth = 1;
        ctx.beginPath();
        ctx.moveTo(...from);
        ctx.lineTo(left - 3, heights[at]);
        ctx.stroke();
        ctx.fillStyle = robench.colour("ink");
        ctx.fillText(chart.options.numbered ? String(at + 1) : robench.shortened(set.label, 34), left, heights[at]);
      }
      ctx.restore();
    },
  };

  /** Draw the curves of the first methods that pass. */
  robench.drawCurves = (rows) => {
    const passing = new Set(rows);
    const all = robench.board.rows;
    const lines = (group) => group.lines.filter((line) => passing.has(all[line.row]));
    const groups = robench.board.curves.filter((group) => lines(group).length);
    const id = (group) => `${robench.board.tables[group.table].id}/${group.name}`;
    $("#security").hidden = !groups.length;
    if (!groups.length) return;
    const group = groups.find((each) => id(each) === chosen) ?? groups[0];
    $("#security .controls").replaceChildren(robench.choice("attack",
      groups.map((each) => [id(each), `${each.name}: ${robench.board.tables[each.table].caption}`]),
      (value) => { chosen = value; robench.drawCurves(robench.shownRows()); }, id(group)));
    const shown = lines(group).slice(0, MOST);
    const numbered = robench.narrow.matches;
    const sets = shown.map((line, at) => ({
      label: robench.name(all[line.row]), row: all[line.row], data: line.points.map(([x, y, low, high]) => ({ x, y, low, high })), fill: false,
      borderColor: robench.seriesColour(at), backgroundColor: robench.seriesColour(at), pointStyle: robench.seriesShape(at), pointRadius: 5, borderDash: DASHES[at % DASHES.length], borderWidth: 2,
    }));
    const unit = `${group.norm}, ${group.unit}`;
    robench.chart("security", {
      type: "line", data: { datasets: sets }, plugins: [drawn],
      words: `Accuracy against epsilon of ${sets.map(({ label }) => label).join(", ")}.`,
      options: {
        numbered, animation: false, maintainAspectRatio: false, responsive: true, layout: { padding: { right: numbered ? 32 : 230, top: 8 } },
        scales: { x: { ...robench.axis(`epsilon (${unit})`), type: "linear", min: 0 }, y: { ...robench.axis("accuracy, %"), min: 0, max: 100 } },
        onClick: (_event, [hit]) => { if (hit) robench.choose({ run: sets[hit.datasetIndex].row.runs[0].run }); },
        plugins: { legend: { display: false }, tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${raw.y.toFixed(1)} (${raw.low.toFixed(1)}–${raw.high.toFixed(1)})` } } },
      },
    });
    $("#security .legend").hidden = !numbered;
    $("#security .legend").replaceChildren(...sets.map(({ label, borderColor }) => h("li", { style: { "--line": borderColor } }, label)));
    const { length } = lines(group);
    $("#security figcaption").textContent = `${robench.board.tables[group.table].caption}: ${group.name}. Clean accuracy is at epsilon 0; upright lines are 95 % intervals, drawn side by side.`
      + (length > shown.length ? ` The first ${shown.length} of ${length} methods by rank; filters choose others.` : "");
  };
})();
