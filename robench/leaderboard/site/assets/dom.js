/* Make elements from text, which is never read as HTML, and write figures. */
"use strict";

const robench = {};

/** Make an element; attributes that are null or false are left out, children may be nested lists. */
robench.h = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== "" && child !== false));
  return element;
};

robench.$ = (selector) => document.querySelector(selector);
robench.number = (value) => value.toLocaleString("en");
robench.counted = (count, one, many = `${one}s`) => `${robench.number(count)} ${count === 1 ? one : many}`;
robench.duration = (seconds) =>
  seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
robench.narrow = window.matchMedia("(max-width: 40rem)");
robench.dark = window.matchMedia("(prefers-color-scheme: dark)");

/** A component with its parameters, of files only their names: `leaf-vit:weights=4932213efc67`. */
robench.short = (label) => label.replace(/=[^=,\s]*\/([^/,\s]+)(?=,|$)/g, (whole, last) => (/^=\d+\/\d+$/.test(whole) ? whole : `=${last.replace(/\.\w+$/, "")}`));

/** The name of a method, with its model where the methods of its table have several. */
robench.name = (row) => (robench.board.tables[row.table].model ? row.name : `${robench.short(row.model)}, ${row.name}`);

/** The worst case that a table is ranked by, as a place in its balls; undefined if something else ranks it. */
robench.ranking = (table) => table.ball ?? undefined;

/** A sign for the eye, and words in its place for those who listen. */
robench.spoken = (sign, words, attributes = {}) =>
  robench.h("span", attributes, robench.h("span", { "aria-hidden": "true" }, sign), robench.h("span", { class: "away" }, words));

/** An accuracy in words; a bound is one without a white-box attack at its radius. */
robench.words = ([percent, low, high, n, deviation], bound = false) =>
  `${bound ? "at most " : ""}${percent.toFixed(1)} % of ${robench.number(n)} images, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}`
  + (deviation === null || deviation === undefined ? "" : `, deviation over seeds ${deviation.toFixed(1)}`);

/** An accuracy: percent, its interval in figures, and both as a bar with a whisker; `kind` sets its colour. */
robench.rate = (rate, kind, { label = null, bound = false } = {}) => {
  const { h } = robench;
  const [percent, low, high] = rate;
  return h("span", { class: `rate ${kind}${bound ? " bound" : ""}`, title: `${label ? `${label}: ` : ""}${robench.words(rate, bound)}` },
    label ? h("span", { class: "label" }, label) : null,
    h("span", { class: "figures" }, h("b", {}, bound ? robench.spoken("≤ ", "at most ") : null, percent.toFixed(1)), " ", h("small", {}, `${low.toFixed(1)}–${high.toFixed(1)}`)),
    h("span", { class: "bar", "aria-hidden": "true" },
      h("i", { style: { width: `${percent}%` } }),
      h("u", { style: { left: `${low}%`, width: `${Math.max(high - low, 0.5)}%` } })));
};

robench.MARKS = { pass: "✓", warn: "▲", fail: "✕", incomplete: "–", skipped: "–", none: "○" };

/** A verdict as a sign, a word and a colour. */
robench.badge = (verdict) =>
  robench.h("span", { class: `badge ${verdict}` }, robench.h("span", { "aria-hidden": "true" }, robench.MARKS[verdict]), ` ${verdict}`);

/** A labelled choice; `change` is called with the chosen value. */
robench.choice = (label, options, change, chosen = null) =>
  robench.h("label", {}, label,
    robench.h("select", { onchange: (event) => change(event.target.value) },
      options.map(([value, text]) => robench.h("option", { value, selected: String(value) === String(chosen) }, text))));

/** Put text into the clipboard, and say so on the button for a while. */
robench.copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context, say over plain HTTP from another machine, there is only the old way.
    const area = robench.h("textarea", { class: "away" }, text);
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 2000);
};

/** A command with a button that copies it. */
robench.command = (text) => {
  const button = robench.h("button", { type: "button", class: "copy", onclick: () => robench.copy(text, button) }, "Copy");
  return robench.h("div", { class: "command" }, robench.h("pre", { tabindex: 0, role: "group", "aria-label": "command" }, robench.h("code", {}, text)), button);
};

/** The colour that the style sheet calls `--name`. */
robench.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
