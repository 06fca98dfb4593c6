/* The transfer matrix: targets by surrogates. */
"use strict";

(() => {
  const { h, $ } = robench;
  const MOST = 60;
  let chosen = 0;

  const cell = (percent) => (percent === null ? h("td", { class: "quiet" }, "–")
    : h("td", { class: "shade", style: { "--share": `${percent}%` } }, percent.toFixed(1)));

  /** Draw the matrix of one set of images. */
  robench.drawMatrix = () => {
    const { matrices } = robench.board;
    $("#transfer").hidden = !matrices.length;
    if (!matrices.length) return;
    chosen = Math.min(chosen, matrices.length - 1);
    const { caption, sources, targets, percent } = matrices[chosen];
    $("#transfer .controls").replaceChildren(robench.choice("images and attack", matrices.map((matrix, at) => [at, matrix.caption]),
      (value) => { chosen = Number(value); robench.drawMatrix(); }, chosen));
    $("#transfer figcaption").textContent = `How often the images made on each surrogate (column) fool each target (row): percent of the images that the target has right without the attack, mean over seeds. The longer the bar, the more are fooled. ${caption}.`
      + (targets.length > MOST ? ` The first ${MOST} of ${targets.length} targets.` : "");
    $("#transfer .wide").replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "target"), sources.map((source) => h("th", { scope: "col" }, `on ${robench.short(source)}`)))),
      h("tbody", {}, targets.slice(0, MOST).map((target, at) => h("tr", {}, h("th", { scope: "row" }, robench.short(target)), percent[at].map(cell))))));
  };
})();
