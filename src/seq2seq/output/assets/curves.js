"use strict";

// Loss curves in one panel: values at the pointer, runs hidden by their names, an axis that no diverged run flattens.
//
// A curve is {name, colour, epochs, train, validation}: equally long lists, null for what is not a number.
const curves = (() => {
  const { element } = player;
  const LEFT = 46, BOTTOM = 22, TOP = 8, RIGHT = 14, SHOWN = 8, CROWD = 20;

  const colour = (k) => `hsl(${Math.round(211 + k * 137.508) % 360} 65% var(--curve))`;

  const losses = (curve) => [...curve.train, ...curve.validation].filter((loss) => loss !== null);

  // Where the axis ends; the rule of output/losses.py.
  function axisTop(shown) {
    const sorted = shown.map((curve) => losses(curve).sort((a, b) => a - b)).filter((all) => all.length);
    sorted.sort((a, b) => a[0] - b[0]);
    if (!sorted.length) return 1;
    const best = sorted[0], half = sorted[(sorted.length - 1) >> 1][0];
    const limit = Math.max(2 * best[(best.length - 1) >> 1], 1.25 * half);
    return sorted.reduce((top, all) => all.reduce((a, loss) => (loss <= limit && loss > a ? loss : a), top), best[0]);
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  // Put a panel into an element; `hidden` is the set of names that are hidden, `changed` is told when it changes.
  function show(host, all, hidden, changed) {
    const picture = element("div", { class: "picture" }), names = element("div", { class: "names" });
    const beyond = element("p", { class: "note" }), readout = element("div", { class: "readout" });
    const train = element("input", { type: "checkbox", checked: all.length > CROWD ? null : "" });
    const control = element("label", { class: "note" }, train, " training losses, dotted");
    host.append(element("div", { class: "curves" }, element("div", {}, picture, readout), names), beyond, control);
    let width = 0, x, y, shown = [], left = () => false;

    function draw() {
      shown = all.filter((curve) => !hidden.has(curve.name) && !left(curve));
      const height = width < 500 ? 240 : 340;
      const top = axisTop(shown), low = shown.flatMap(losses).reduce((a, b) => Math.min(a, b), top);
      const room = Math.max((top - low) * 0.04, 1e-6 + 1e-3 * Math.abs(top)), y0 = low - room, y1 = top + room;
      const epochs = shown.flatMap((curve) => curve.epochs);
      const first = epochs.reduce((a, b) => Math.min(a, b), 1), last = epochs.reduce((a, b) => Math.max(a, b), first + 1);
      x = (epoch) => LEFT + ((epoch - first) / (last - first)) * (width - LEFT - RIGHT);
      y = (loss) => TOP + ((y1 - loss) / (y1 - y0)) * (height - TOP - BOTTOM);
      const svg = element("svg", { width, height, role: "img", "aria-label": `Losses of ${shown.length} runs` });
      const across = ticks(y0, y1, 6), along = ticks(first, last, Math.max(2, Math.floor(width / 80)));
      for (const loss of across.found) {
        svg.append(element("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(loss), y2: y(loss) }));
        svg.append(element("text", { x: LEFT - 6, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(across.digits)));
      }
      for (const epoch of along.found.filter(Number.isInteger)) {
        svg.append(element("text", { x: x(epoch), y: height - 5, "text-anchor": "middle" }, String(epoch)));
      }
      const inner = element("svg", { x: 0, y: 0, width, height: height - BOTTOM, overflow: "hidden" });
      for (const curve of shown) {
        for (const kind of train.checked ? ["train", "validation"] : ["validation"]) {
          let path = "", drawing = false;
          curve.epochs.forEach((epoch, k) => {
            const loss = curve[kind][k];
            if (loss !== null) {
              path += `${drawing ? "L" : "M"}${x(epoch).toFixed(1)} ${y(Math.min(loss, y1 + 10 * (y1 - y0))).toFixed(1)}`;
            }
            drawing = loss !== null;
          });
          if (curve.epochs.length === 1 && path) path += "h0.01"; // one epoch is a dot
          inner.append(element("path", { class: kind, d: path, stroke: curve.colour, "data-run": curve.name }));
        }
      }
      const pointer = element("line", { class: "pointer", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
      svg.append(inner, pointer);
      svg.addEventListener("pointermove", (event) => point(event, pointer));
      svg.addEventListener("pointerdown", (event) => point(event, pointer));
      picture.replaceChildren(svg);
      const gone = shown.filter((curve) => losses({ train: [], validation: curve.validation.slice(-1) }).some((l) => l > top));
      const clipped = shown.filter((curve) => losses(curve).some((loss) => loss > top)).length - gone.length;
      const said = gone.slice(0, 5).map((curve) => `${curve.name} (${curve.validation.at(-1).toPrecision(4)})`);
      if (gone.length > 5) said.push(`${gone.length - 5} more`);
      beyond.textContent = [
        gone.length ? `Above the picture at the end: ${said.join(", ")}.` : "",
        clipped ? `${clipped} ${clipped === 1 ? "run was" : "runs were"} above it for a while.` : "",
      ].join(" ").trim();
      readout.textContent = shown.length ? "Nats per frame by epoch; point at the curves for values." : "No run is shown.";
    }

    // The values of the epoch at the pointer, those nearest to it first.
    function point(event, pointer) {
      if (!shown.length) return;
      const epochs = [...new Set(shown.flatMap((curve) => curve.epochs))];
      const at = epochs.reduce((a, b) => (Math.abs(x(b) - event.offsetX) < Math.abs(x(a) - event.offsetX) ? b : a));
      const values = shown.flatMap((curve) => {
        const k = curve.epochs.indexOf(at);
        return k < 0 || curve.validation[k] === null ? [] : [{ curve, k, far: Math.abs(y(curve.validation[k]) - event.offsetY) }];
      }).sort((a, b) => a.far - b.far);
      for (const name of ["x1", "x2"]) pointer.setAttribute(name, x(at));
      pointer.setAttribute("visibility", "visible");
      const nearest = values[0]?.curve.name;
      for (const path of picture.querySelectorAll("path")) path.classList.toggle("near", path.dataset.run === nearest);
      const lines = values.slice(0, SHOWN).map(({ curve, k }) => {
        const trained = curve.train[k] === null ? "" : `, training ${curve.train[k].toPrecision(4)}`;
        const mark = element("i", { style: `background: ${curve.colour}` });
        return element("div", {}, mark, `${curve.name}: validation ${curve.validation[k].toPrecision(4)}${trained}`);
      });
      if (values.length > SHOWN) lines.push(element("div", {}, `and ${values.length - SHOWN} more`));
      readout.replaceChildren(element("div", {}, `epoch ${at}`), ...lines);
    }

    function label() {
      names.replaceChildren(...all.filter((curve) => !left(curve)).map((curve) => {
        const mark = element("i", { style: `background: ${curve.colour}` });
        const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(curve.name)) }, mark, curve.name);
        button.addEventListener("click", () => {
          hidden.has(curve.name) ? hidden.delete(curve.name) : hidden.add(curve.name);
          changed();
        });
        return button;
      }));
    }

    const update = (leftOut = left) => {
      left = leftOut;
      label();
      if (width) draw();
    };
    train.addEventListener("change", draw);
    label();
    new ResizeObserver(() => {
      if (picture.clientWidth === width || !picture.clientWidth) return;
      width = picture.clientWidth;
      draw();
    }).observe(picture);
    return update;
  }

  return { axisTop, colour, show };
})();
