"use strict";

// The page of a comparison. Its data: {columns, runs, panels, settings}; a run is {name, panel, cells, settings, curve,
// samples}. A cell is a number, a text, or null.
(() => {
  const { element } = player;
  const data = JSON.parse(document.getElementById("data").textContent);
  const hidden = new Set(), rows = [];
  const chosen = new Set(data.runs.slice(0, data.runs.length <= 6 ? 6 : 3).map((run) => run.name));
  const find = (name) => document.getElementById(name);
  let updates = [];

  data.runs.forEach((run, k) => {
    run.colour = curves.colour(k);
    run.curve = { ...run.curve, name: run.name, colour: run.colour };
  });

  // The table -----------------------------------------------------------------------------------------------------

  function shown(value, column) {
    if (value === null) return "–";
    return typeof value === "number" && column.digits !== null ? value.toFixed(column.digits) : String(value);
  }

  // Words that a row must have; "validation<1.5", "model=tied" and the like ask for a column.
  function matches(row, words) {
    return words.every((word) => {
      const asked = word.match(/^([^<>=]+)([<>=])(.+)$/);
      const at = asked ? data.columns.findIndex((column) => column.name.toLowerCase() === asked[1]) : -1;
      if (at < 0) return row.text.includes(word);
      const value = row.run.cells[at], text = shown(value, data.columns[at]).toLowerCase();
      if (asked[2] === "=") return text === asked[3] || (typeof value === "number" && value === Number(asked[3]));
      return typeof value === "number" && (asked[2] === "<" ? value < Number(asked[3]) : value > Number(asked[3]));
    });
  }

  function filter() {
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.line.hidden = !matches(row, words);
    const count = rows.filter((row) => !row.line.hidden).length;
    find("count").textContent = `${count} of ${rows.length} runs`;
    refresh();
  }

  function sort(column, head) {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => {
      const [p, q] = [a.run.cells[column], b.run.cells[column]];
      if (p === null || q === null) return (p === null) - (q === null); // what is missing is last either way
      const by = typeof p === "number" && typeof q === "number" ? p - q : String(p).localeCompare(String(q), "en", { numeric: true });
      return down ? -by : by;
    };
    rows.sort(order);
    find("rows").append(...rows.map((row) => row.line));
  }

  function table() {
    const head = element("tr", {}, element("th", {}, "choose"));
    data.columns.forEach((column, k) => {
      const button = element("button", { type: "button" }, column.name);
      const cell = element("th", { class: column.kind }, button);
      button.addEventListener("click", () => sort(k, cell));
      head.append(cell);
    });
    find("head").append(head);
    for (const run of data.runs) {
      const box = element("input", { type: "checkbox", "aria-label": `Choose ${run.name}` });
      box.checked = chosen.has(run.name);
      box.addEventListener("change", () => {
        box.checked ? chosen.add(run.name) : chosen.delete(run.name);
        details();
      });
      const name = element("button", { type: "button", class: "name", "aria-pressed": "true" },
        element("i", { style: `background: ${run.colour}` }), run.name);
      name.addEventListener("click", () => {
        hidden.has(run.name) ? hidden.delete(run.name) : hidden.add(run.name);
        refresh();
      });
      const cells = run.cells.map((value, k) => shown(value, data.columns[k]));
      const line = element("tr", {}, element("td", {}, box),
        ...cells.map((text, k) => element("td", { class: data.columns[k].kind }, k ? text : name)));
      rows.push({ run, line, name, text: [...cells, data.panels[run.panel]].join(" ").toLowerCase() });
    }
    find("rows").append(...rows.map((row) => row.line));
  }

  // Curves, settings and samples --------------------------------------------------------------------------------------

  function refresh() {
    for (const { run, name } of rows) name.setAttribute("aria-pressed", String(!hidden.has(run.name)));
    const filtered = new Set(rows.filter((row) => row.line.hidden).map((row) => row.run.name));
    for (const update of updates) update((curve) => filtered.has(curve.name));
  }

  function panels() {
    data.panels.forEach((title, k) => {
      const host = element("section", {}, element("h3", {}, title));
      find("panels").append(host);
      updates.push(curves.show(host, data.runs.filter((run) => run.panel === k).map((run) => run.curve), hidden, refresh));
    });
  }

  function details() {
    player.stop();
    const picked = data.runs.filter((run) => chosen.has(run.name));
    const differs = (k) => picked.some((run) => run.settings[k] !== picked[0].settings[k]);
    const head = element("tr", {}, element("th"), ...picked.map((run) => element("th", {}, run.name)));
    const lines = data.settings.map((name, k) =>
      element("tr", { class: differs(k) ? "differs" : null }, element("td", {}, name),
        ...picked.map((run) => element("td", {}, String(run.settings[k])))));
    find("settings").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)));
    const hosts = picked.flatMap((run) => [
      element("h3", {}, run.name),
      ...(run.samples.length ? run.samples.map((sample) => {
        const remarks = sample.remarks.map((remark) => element("p", { class: "note" }, remark));
        return element("div", {}, element("p", {}, sample.name), ...remarks, element("div", { "data-piece": sample.index }));
      }) : [element("p", { class: "note" }, "no samples")]),
    ]);
    find("samples").replaceChildren(...hosts);
    player.mount(pieces, find("samples"));
  }

  const pieces = data.runs.flatMap((run) => run.samples);
  pieces.forEach((piece, k) => (piece.index = k));
  table();
  panels();
  find("filter").addEventListener("input", filter);
  filter();
  details();
})();
