"use strict";

// One player for all pages: a piano roll as SVG, played by a small synthesiser.
//
// A piece is {name, ms, notes, voices, drums, primer, bar}: its length in milliseconds; four numbers a note (the
// milliseconds since the onset before, how long it sounds, pitch + 128 * voice, velocity); the names of its voices
// and the indices of those that are drums; where the primer ends and how long a bar lasts, in milliseconds, or null.
const player = (() => {
  const AHEAD = 1.5; // seconds scheduled in advance: a hidden page is woken once a second
  const GUTTER = 34, TIMES = 20, LEAST_PER_SECOND = 10;
  const PARTIALS = 8;
  let context = null, bus = null, playing = null;

  function unpack(piece) {
    const notes = [];
    let onset = 0;
    for (let i = 0; i < piece.notes.length; i += 4) {
      onset += piece.notes[i];
      const key = piece.notes[i + 2], voice = key >> 7;
      notes.push({
        onset: onset / 1000, offset: (onset + piece.notes[i + 1]) / 1000, pitch: key & 127, voice,
        velocity: piece.notes[i + 3], drum: piece.drums.includes(voice), primer: onset < piece.primer,
      });
    }
    return notes;
  }

  // Sound ---------------------------------------------------------------------------------------------------------

  function tone(sounding) {
    if (!sounding.roll) {
      const real = new Float32Array(PARTIALS + 1), imaginary = new Float32Array(PARTIALS + 1);
      for (let k = 1; k <= PARTIALS; k++) imaginary[k] = 1 / k ** 1.3;
      const noise = sounding.createBuffer(1, sounding.sampleRate / 4, sounding.sampleRate);
      const samples = noise.getChannelData(0);
      for (let i = 0, state = 1; i < samples.length; i++) {
        state = (state * 48271) % 2147483647;
        samples[i] = state / 1073741824 - 1;
      }
      sounding.roll = { string: sounding.createPeriodicWave(real, imaginary), noise };
    }
    return sounding.roll;
  }

  // Strike a note on a context, real or offline: a plucked string that fades, or for drums a thump or a burst of noise.
  function strike(sounding, target, note, at, seconds) {
    const gain = sounding.createGain(), peak = 0.35 * (note.velocity / 127) ** 1.5;
    let source, fade = Math.min(1.3 * 2 ** ((60 - note.pitch) / 24), 1.5), end = at + Math.max(seconds, 0.03);
    if (note.drum && note.pitch !== 35 && note.pitch !== 36) {
      source = sounding.createBufferSource();
      source.buffer = tone(sounding).noise;
      fade = 0.05;
    } else {
      source = sounding.createOscillator();
      source.frequency.value = note.drum ? 55 : 440 * 2 ** ((note.pitch - 69) / 12);
      if (note.drum) fade = 0.1;
      else source.setPeriodicWave(tone(sounding).string);
    }
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(peak, at + 0.004);
    gain.gain.setTargetAtTime(0, at + 0.004, fade);
    gain.gain.setTargetAtTime(0, end, 0.03);
    source.connect(gain).connect(target);
    source.start(at);
    source.stop(end + 0.25);
  }

  function start(view) {
    stop();
    if (!context) {
      context = new AudioContext();
      bus = context.createDynamicsCompressor(); // loud chords are limited, not clipped
      bus.connect(context.destination);
    }
    context.resume();
    const from = view.position >= view.seconds - 0.05 ? 0 : view.position;
    const gain = context.createGain(), zero = context.currentTime + 0.08 - from;
    gain.connect(bus);
    let next = view.notes.findIndex((note) => note.offset > from);
    if (next < 0) next = view.notes.length;
    const feed = () => {
      const now = context.currentTime - zero;
      for (; next < view.notes.length && view.notes[next].onset < now + AHEAD; next++) {
        const note = view.notes[next], onset = Math.max(note.onset, from);
        if (note.offset > onset || note.onset >= from) strike(context, gain, note, zero + onset, note.offset - onset);
      }
    };
    const follow = () => {
      if (playing !== here) return;
      view.move(Math.max(from, context.currentTime - zero), true);
      if (view.position >= view.seconds) stop();
      else requestAnimationFrame(follow);
    };
    const here = { view, gain, timer: setInterval(feed, 100) };
    playing = here;
    view.playing(true);
    feed();
    requestAnimationFrame(follow);
  }

  function stop() {
    if (!playing) return;
    const { view, gain, timer } = playing;
    playing = null;
    clearInterval(timer);
    gain.gain.setTargetAtTime(0, context.currentTime, 0.02);
    setTimeout(() => gain.disconnect(), 200);
    view.playing(false);
  }

  // Sight ---------------------------------------------------------------------------------------------------------

  function element(name, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "rect", "text", "g", "circle", "polyline"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function clock(seconds) {
    const whole = Math.floor(seconds + 1e-6);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  }

  function line(kind, x1, y1, x2, y2) {
    return element("line", { class: kind, x1, y1, x2, y2 });
  }

  // Draw the notes for a width in pixels; return the keyboard at the left, the roll, and its pixels per second.
  function draw(view, width) {
    const pitches = view.notes.map((note) => note.pitch);
    let low = pitches.reduce((a, b) => Math.min(a, b), 127), high = pitches.reduce((a, b) => Math.max(a, b), 0);
    if (!pitches.length) [low, high] = [54, 66];
    for (; high - low < 12; ) {
      low = Math.max(0, low - 1);
      high = Math.min(127, high + 1);
    }
    const row = Math.max(3, Math.min(10, Math.floor(260 / (high - low + 1))));
    const height = (high - low + 1) * row, top = (pitch) => (high - pitch) * row;
    const scale = Math.max((width - GUTTER) / view.seconds, LEAST_PER_SECOND);
    const across = view.seconds * scale;
    const keys = element("svg", { width: GUTTER, height: height + TIMES, "aria-hidden": "true" });
    const roll = element("svg", { width: across, height: height + TIMES, role: "img", "aria-label": view.label });
    const primer = view.piece.primer / 1000;
    if (primer) roll.append(element("rect", { class: "primer", x: 0, y: 0, width: primer * scale, height }));
    const bar = (view.piece.bar ?? 0) / 1000;
    if (bar * scale >= 6) {
      for (let at = bar; at < view.seconds - 1e-6; at += bar) roll.append(line("bar", at * scale, 0, at * scale, height));
    }
    for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
      roll.append(line("key", 0, top(pitch) + row, across, top(pitch) + row));
      keys.append(element("text", { x: 0, y: Math.max(11, top(pitch) + row) }, `C${pitch / 12 - 1}`));
    }
    const every = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((step) => step * scale >= 48) ?? 1200;
    for (let at = 0; at < view.seconds - 0.25 * every; at += every) {
      roll.append(element("text", { x: at * scale, y: height + 15 }, clock(at)));
    }
    // Notes of one voice and one loudness are one path, so that a long piece is drawn as quickly as a short one.
    const paths = new Map();
    for (const note of view.notes) {
      const loudness = note.velocity < 50 ? 0.55 : note.velocity < 90 ? 0.8 : 1;
      const kind = `${note.voice % 6} ${note.primer ? 0.45 * loudness : loudness}`;
      const long = Math.max(1.5, (note.offset - note.onset) * scale - 1);
      if (!paths.has(kind)) paths.set(kind, []);
      paths.get(kind).push(
        `M${(note.onset * scale).toFixed(1)} ${top(note.pitch)}h${long.toFixed(1)}v${row}h${(-long).toFixed(1)}z`);
    }
    for (const [kind, parts] of paths) {
      const [voice, opacity] = kind.split(" ");
      roll.append(element("path", { fill: `var(--voice${voice})`, opacity, d: parts.join("") }));
    }
    if (primer) roll.append(line("primer-end", primer * scale, 0, primer * scale, height));
    return { keys, roll, height, scale };
  }

  function legend(view) {
    const names = view.piece.voices, shown = element("div", { class: "legend" });
    const used = new Set(view.notes.map((note) => note.voice));
    if (used.size > 1 || view.piece.primer) {
      for (const voice of [...used].sort((a, b) => a - b)) {
        const colour = element("i", { style: `background: var(--voice${voice % 6})` });
        shown.append(element("span", {}, colour, names[voice] ?? `voice ${voice + 1}`));
      }
    }
    if (view.piece.primer) {
      shown.append(element("span", {}, `pale, to ${(view.piece.primer / 1000).toFixed(1)} s: the primer; then the new music`));
    }
    return shown;
  }

  // Put a player of a piece into an element.
  function show(host, piece) {
    const view = { piece, notes: unpack(piece), seconds: Math.max(piece.ms / 1000, 0.1), position: 0 };
    view.label = `Piano roll of ${piece.name}: ${view.notes.length} notes in ${view.seconds.toFixed(1)} seconds`;
    const button = element("button", { type: "button", "aria-label": `Play ${piece.name}` }, "▶ Play");
    const slider = element("input",
      { type: "range", min: 0, max: view.seconds, step: "any", value: 0, "aria-label": `Position in ${piece.name}` });
    const time = element("span", { class: "time" });
    const scroll = element("div", { class: "scroll" }), frame = element("div", { class: "roll" });
    const box = element("div", { class: "player" },
      element("div", { class: "controls" }, button, slider, time), frame, legend(view));
    let drawn = null, cursor = null, width = 0;
    view.move = (seconds, follow) => {
      view.position = Math.min(seconds, view.seconds);
      slider.value = view.position;
      time.textContent = `${clock(view.position)} / ${clock(view.seconds)}`;
      if (!drawn) return;
      const x = view.position * drawn.scale;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      if (follow && (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth - 20)) scroll.scrollLeft = x - 20;
    };
    view.playing = (on) => {
      button.textContent = on ? "❚❚ Pause" : "▶ Play";
      button.setAttribute("aria-label", `${on ? "Pause" : "Play"} ${piece.name}`);
    };
    const seek = (seconds) => {
      const on = playing?.view === view;
      if (on) stop();
      view.move(seconds);
      if (on) start(view);
    };
    button.addEventListener("click", () => (playing?.view === view ? stop() : start(view)));
    slider.addEventListener("input", () => seek(Number(slider.value)));
    new ResizeObserver(() => {
      if (frame.clientWidth === width || !frame.clientWidth) return;
      width = frame.clientWidth;
      drawn = draw(view, width);
      cursor = line("cursor", 0, 0, 0, drawn.height);
      drawn.roll.append(cursor);
      drawn.roll.addEventListener("click", (event) => seek(event.offsetX / drawn.scale));
      scroll.replaceChildren(drawn.roll);
      frame.replaceChildren(drawn.keys, scroll);
      view.move(view.position);
    }).observe(frame);
    view.move(0);
    host.append(box);
  }

  // Mount a player in every element that names a piece, when it comes into sight.
  function mount(pieces, root = document) {
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        show(target, pieces[target.dataset.piece]);
      }
    }, { rootMargin: "400px" });
    for (const host of root.querySelectorAll("[data-piece]")) seen.observe(host);
  }

  return { clock, element, mount, show, stop, strike, unpack };
})();
