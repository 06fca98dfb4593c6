/* The columns of a table: what they show and sort by, and which of them there is room for. */
"use strict";

(() => {
  const { h } = robench;
  const VERDICTS = ["fail", "incomplete", "warn", "none", "pass"];

  /* Radius, norm and number of images stand below the name, and need not stand in it. */
  const text = (attack) => {
    const [name, settings = ""] = attack.label.split(/:(.*)/);
    const own = settings.split(",").filter((each) => each && !/^(eps|norm|n)=/.test(each));
    return robench.short(own.length ? `${name}:${own.join(",")}` : name).replaceAll("surrogate.", "").replaceAll(/[:,]/g, "$& ");
  };

  const rank = (row) => {
    const [low, high] = row.rank;
    const words = low === high ? `rank ${low}` : `rank ${low} to ${high}: not told apart from its neighbours`;
    return robench.spoken(low === high ? String(low) : `${low}–${high}`, words, { class: "rank", title: words });
  };

  const accuracy = (key, title, sub, of, kind, more = {}) => ({
    key, title, sub, kind, of, width: 118, value: (row) => of(row)[0], first: "desc",
    cell: (row) => robench.rate(of(row), kind, { bound: more.bound }), run: more.run, bound: more.bound, ...more,
  });

  const attacked = (attack, at) => accuracy(`attack ${attack.label}`, text(attack), `${attack.ball}, ${attack.knowledge}, n=${robench.number(attack.n)}`,
    (row) => row.attacks[at], "attack", { run: (run) => run.attacks[at] });

  const worst = (ball, at, table) => accuracy(`worst ${ball.at}`, "worst case", `${ball.at}, ${ball.measured ? `n=${robench.number(ball.n)}` : "no white-box attack there"}`,
    (row) => row.worst[at], "worst", { run: (run) => run.worst[at], bound: !ball.measured, main: table.ball === at });

  /* What a defence proves: no accuracy under an attack, and no other column is compared with it. */
  const proved = (radius, at) => accuracy(`certified ${radius}`, "certified", `${radius}, proved`, (row) => row.certified[at] ?? [null], "certified",
    { cell: (row) => (row.certified[at] ? robench.rate(row.certified[at], "certified") : "–") });

  const plain = (key, title, value, cell, more = {}) => ({ key, title, sub: "", value, cell, width: 84, first: "asc", kind: "plain", ...more });

  /** All columns of a table, from left to right. */
  robench.columns = (table) => [
    plain("rank", "#", (row) => row.order, rank, { width: 56, kind: "place" }),
    plain("name", "method", (row) => robench.name(row).toLowerCase(), null, { width: 230, kind: "method" }),
    plain("against", "trained against", (row) => row.against, (row) => (row.against === "-" ? "–" : row.against), { width: 132, kind: "against" }),
    accuracy("clean", "clean", `n=${robench.number(table.n)}`, (row) => row.clean, "clean", { run: (run) => run.clean }),
    ...table.attacks.map(attacked),
    ...table.balls.map((ball, at) => worst(ball, at, table)),
    ...table.certified.map(proved),
    plain("drop", "drop", (row) => row.drop, (row) => (row.drop === null ? "–" : row.drop.toFixed(1)), { sub: "clean minus attacked, points" }),
    plain("checks", "checks", (row) => VERDICTS.indexOf(row.checks), (row) => robench.badge(row.checks), { width: 96, run: (run) => robench.badge(run.checks) }),
    plain("trained", "trained", (row) => row.trained, (row) => robench.number(row.trained), { width: 104, sub: "parameters" }),
    plain("seconds", "seconds", (row) => row.seconds, (row) => robench.number(Math.round(row.seconds)), { run: (run) => robench.number(Math.round(run.seconds)) }),
  ];

  /* A worst case over one attack is that attack, and need not be shown twice unless it ranks. */
  const repeated = (table, column) => {
    const at = table.balls.findIndex((ball) => column.key === `worst ${ball.at}`);
    if (at < 0 || column.main) return false;
    return table.attacks.filter((attack) => attack.knowledge !== "nothing" && attack.ball.split(" ")[0] === table.balls[at].at.split(" ")[0]).length === 1;
  };

  /** The columns that `width` pixels have room for: the most important first, in the order of all columns. */
  robench.columnsWithin = (table, width) => {
    const all = robench.columns(table);
    const narrow = width < 560;
    const size = (column) => (narrow ? { place: 40, method: 118, plain: 70, against: 100 }[column.kind] ?? 84 : column.width);
    const sorted = robench.state.sort.replace(/:\w+$/, "");
    const weight = (column) => [column.kind === "place", column.kind === "method", column.key === sorted, column.main, column.key === "clean", column.key === "checks" && !narrow,
      column.kind === "worst" && !column.bound && !repeated(table, column), column.kind === "attack", column.kind === "certified" && !column.key.endsWith(" 0"), column.key === "against", column.kind === "worst", true].indexOf(true);
    const kept = new Set();
    let left = width;
    for (const column of [...all].sort((a, b) => weight(a) - weight(b))) {
      if (["drop", "trained", "seconds"].includes(column.key) && column.key !== sorted) continue;
      if (repeated(table, column) && column.key !== sorted) continue;
      if (size(column) > left && kept.size > 1) break;
      kept.add(column);
      left -= size(column);
    }
    return all.filter((column) => kept.has(column));
  };
})();
