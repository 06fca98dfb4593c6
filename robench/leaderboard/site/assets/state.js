/* What a reader chose, kept in the address, so that it can be shared and the back button undoes it. */
"use strict";

(() => {
  const RUN = /^#([0-9a-f]{12}(?:-[0-9]+)?)$/;
  const EMPTY = { q: "", dataset: "", model: "", attack: "", threat: "", checks: "", plugin: "", sort: "", open: "", run: "" };

  const read = () => {
    const alone = RUN.exec(location.hash);
    if (alone) return { ...EMPTY, run: alone[1] };
    const found = new URLSearchParams(location.hash.slice(1));
    return Object.fromEntries(Object.keys(EMPTY).map((key) => [key, found.get(key) ?? ""]));
  };

  const written = (state) => {
    const given = Object.entries(state).filter(([, value]) => value);
    if (!given.length) return location.pathname + location.search;
    return given.length === 1 && state.run ? `#${state.run}` : `#${new URLSearchParams(given)}`;
  };

  robench.state = read();

  /** Choose something; `quietly` does not make a step for the back button, as while typing. */
  robench.choose = (changes, quietly = false) => {
    robench.state = { ...robench.state, ...changes };
    history[quietly ? "replaceState" : "pushState"](null, "", written(robench.state));
    robench.chosen(changes);
  };

  /** The address with another run open. */
  robench.linkTo = (run) => written({ ...robench.state, run });

  /** Whether anything but order, open tables and an open run was chosen. */
  robench.filtered = () => ["q", "dataset", "model", "attack", "threat", "checks", "plugin"].some((key) => robench.state[key]);

  window.addEventListener("popstate", () => {
    // A link to a part of the page, such as #help, is none of a choice.
    if (document.getElementById(location.hash.slice(1))) return;
    robench.state = read();
    robench.chosen(EMPTY);
  });
})();
