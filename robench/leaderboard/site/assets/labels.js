/* Labels in a plot, where they cover neither each other nor a point. */
"use strict";

(() => {
  const meets = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

  /** Put each label beside its point, the most important first; one that finds no room is left out. */
  robench.placed = (points, measure, area, size = 13) => {
    const taken = points.map(({ x, y }) => ({ x: x - 6, y: y - 6, w: 12, h: 12 }));
    const found = [];
    for (const point of points) {
      if (!point.label) continue;
      const w = measure(point.label);
      const places = [[9, -size / 2], [-9 - w, -size / 2], [-w / 2, -10 - size], [-w / 2, 10], [9, -size - 4], [9, 4], [-9 - w, -size - 4], [-9 - w, 4]];
      const box = places.map(([dx, dy]) => ({ x: point.x + dx, y: point.y + dy, w, h: size }))
        .find((each) => each.x >= area.left && each.x + w <= area.right && each.y >= area.top && each.y + size <= area.bottom && !taken.some((other) => meets(each, other)));
      if (!box) continue;
      taken.push(box);
      found.push({ text: point.label, ...box });
    }
    return found;
  };

  /** Move heights apart until each is `gap` from the next, within the area. */
  robench.apart = (heights, gap, { top, bottom }) => {
    const order = heights.map((y, at) => ({ y, at })).sort((a, b) => a.y - b.y);
    for (let at = 0; at < order.length; at += 1) order[at].y = Math.max(order[at].y, at ? order[at - 1].y + gap : top);
    for (let at = order.length - 1; at >= 0; at -= 1) order[at].y = Math.min(order[at].y, at + 1 < order.length ? order[at + 1].y - gap : bottom);
    const moved = [];
    for (const { y, at } of order) moved[at] = y;
    return moved;
  };

  /** A name short enough for a plot. */
  robench.shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);
})();
