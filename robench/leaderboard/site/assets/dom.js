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
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};

robench.$ = (selector) => document.querySelector(selector);
robench.number = (value) => value.toLocaleString("en");
robench.duration = (seconds) =>
  seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
robench.name = (row) => `${row.model}, ${row.tuner}`;
robench.narrow = window.matchMedia("(max-width: 40rem)");
robench.dark = window.matchMedia("(prefers-color-scheme: dark)");

/** An accuracy: percent, its interval in figures, and both as a bar with a whisker; `kind` sets its colour. */
robench.rate = ([percent, low, high, n], kind, label = null) => {
  const { h } = robench;
  return h("span", { class: `rate ${kind}`, title: `${label ? `${label}: ` : ""}${percent.toFixed(1)} % of ${robench.number(n)} images, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}` },
    label ? h("span", { class: "label" }, label) : null,
    h("span", { class: "figures" }, h("b", {}, percent.toFixed(1)), " ", h("small", {}, `${low.toFixed(1)}–${high.toFixed(1)}`)),
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

/** The colour that the style sheet calls `--name`. */
robench.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
