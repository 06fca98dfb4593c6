/* Show everything: for the first time, after a choice, or when the server has new records. */
"use strict";

(() => {
  const { $ } = robench;

  const about = ({ rows, newest, versions }) => {
    if (!rows.length) return;
    const date = new Date(`${newest}T00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
    $("#what").textContent = `Accuracy of ${robench.counted(rows.length, "vision model or tuning method", "vision models and tuning methods")} on clean and attacked images, measured by`;
    if (versions.length) $("#made").textContent = `robench ${versions.join(", ")}`;
    $("#when").textContent = ` up to ${date}`;
  };

  /** Called when the reader chose something, or went back. */
  robench.chosen = (changes) => {
    const keys = Object.keys(changes);
    if (keys.some((key) => key !== "run" && key !== "open")) {
      robench.drawFilters();
      robench.drawTables();
      if (keys.some((key) => !["run", "open", "sort"].includes(key))) {
        robench.drawPlots();
        robench.drawViews();
      }
    } else if (keys.includes("open")) robench.drawPlots();
    if (keys.includes("run")) robench.follow();
  };

  /** Called by the script with the data. */
  robench.show = (board) => {
    robench.board = board;
    about(board);
    robench.numberRows();
    robench.drawFilters();
    robench.drawTables();
    robench.drawPlots();
    robench.drawViews();
    robench.drawMatrix();
    robench.drawPapers();
    robench.follow();
    document.body.dataset.ready = "true";
  };
})();
