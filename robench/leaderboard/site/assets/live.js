/* Ask the server for new records, and how far the current runs are. */
"use strict";

(() => {
  const { h, $ } = robench;
  const EVERY = 2000;

  /* When each run's stage ends, as far as is known; a new estimate moves it a little, so that it counts down. */
  const ends = new Map();

  const left = (run) => {
    if (run.seconds_left === null) return "";
    const key = `${run.run_id}/${run.stage}`;
    const now = Date.now() / 1000;
    const told = run.updated + run.seconds_left;
    const end = ends.has(key) ? ends.get(key) + 0.25 * (told - ends.get(key)) : told;
    ends.set(key, end);
    return `about ${robench.duration(Math.max(1, end - now))} left of this stage`;
  };

  const line = (run) => {
    const share = run.total ? `${robench.number(run.done)} of ${robench.number(run.total)}` : "";
    return h("li", {}, h("strong", {}, run.name), h("span", { class: "quiet" }, ` run ${run.run_id}, for ${robench.duration(Date.now() / 1000 - run.started)}`),
      h("ol", { class: "stages" }, run.finished.map(([stage, seconds]) => h("li", { class: "quiet" }, `✓ ${stage}, ${robench.duration(seconds)}`)),
        h("li", { class: "stage", "aria-current": "step" }, h("b", {}, run.stage || "starting"),
          run.total ? h("progress", { max: run.total, value: run.done, "aria-label": run.stage }) : null, [share, left(run)].filter(Boolean).join(", "), run.detail ? h("span", { class: "quiet" }, ` ${run.detail}`) : null)));
  };

  const load = (folder) => new Promise((done) => {
    const script = h("script", { src: `${folder}/board.js`, onload: () => { script.remove(); done(); }, onerror: () => { script.remove(); done(); } });
    document.head.append(script);
  });

  const ask = async () => {
    try {
      const { folder, running } = await (await fetch("live.json", { cache: "no-store" })).json();
      $("#running").hidden = !running.length;
      $("#running ul").replaceChildren(...running.map(line));
      if (folder !== robench.board.folder) {
        const before = new Set(robench.board.rows.flatMap((row) => row.runs.map((run) => run.run)));
        await load(folder);
        const added = new Set(robench.board.rows.flatMap((row) => row.runs.map((run) => run.run)).filter((run) => !before.has(run))).size;
        $("#news").textContent = added ? `${added} new ${added === 1 ? "run" : "runs"}, ${new Date().toLocaleTimeString()}.` : "";
      }
      document.body.classList.remove("gone");
    } catch {
      document.body.classList.add("gone");
      $("#news").textContent = "robench serve does not answer; the page shows its last answer.";
    }
    setTimeout(ask, EVERY);
  };
  document.body.dataset.live = "true";
  setTimeout(ask, 0);
})();
