/* Ask the server for new records, and how far the current runs are. */
"use strict";

(() => {
  const { h, $ } = robench;
  const EVERY = 2000;

  const line = (run) => {
    const share = run.total ? `${robench.number(run.done)} of ${robench.number(run.total)}` : "";
    const left = run.seconds_left === null ? "" : `, about ${robench.duration(run.seconds_left)} left`;
    return h("li", {}, h("strong", {}, run.name), h("span", { class: "quiet" }, ` run ${run.run_id}, for ${robench.duration(Date.now() / 1000 - run.started)}`),
      h("span", { class: "stage" }, run.stage || "starting",
        run.total ? h("progress", { max: run.total, value: run.done, "aria-label": run.stage }) : null, `${share}${left}`, run.detail ? h("span", { class: "quiet" }, ` ${run.detail}`) : null));
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
        const before = new Set(robench.board.rows.map((row) => row.run));
        await load(folder);
        const added = new Set(robench.board.rows.map((row) => row.run).filter((run) => !before.has(run))).size;
        $("#news").textContent = added ? `${added} new ${added === 1 ? "run" : "runs"}, ${new Date().toLocaleTimeString()}.` : "";
      }
      document.body.classList.remove("gone");
    } catch {
      document.body.classList.add("gone");
      $("#news").textContent = "robench serve does not answer; the page shows its last answer.";
    }
    setTimeout(ask, EVERY);
  };
  setTimeout(ask, 0);
})();
