/* Shows a prediction: where the model looked for each word of its output.
 *
 * <multiattn-view> takes the JSON of Views.json from its property `data`, or from a script element inside.
 * It depends on nothing, loads nothing, and sets styles through properties only, as a strict policy demands.
 */
"use strict";
(() => {
  const MOST_LINKED = 60; // words of a line; longer texts are tinted, not linked
  const LARGEST = 28; // rem: the longer side of a picture
  const FAINTEST = 0.08; // weight of a link that is drawn
  const NS = "http://www.w3.org/2000/svg";

  /** An element with properties (`class`, `on…`, attributes) and children. */
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  const percent = (share) => `${Math.round(100 * share)} %`;
  const seconds = (value) => `${value.toFixed(1)} s`;

  /** Weights of words (rows) over slots (columns). */
  function unpack(packed) {
    const levels = Uint8Array.from(atob(packed.levels), (letter) => letter.charCodeAt(0));
    return packed.scale.map((scale, row) =>
      Array.from(levels.subarray(row * packed.columns, (row + 1) * packed.columns), (level) => (scale * level) / 255));
  }

  /** Of a chosen word its weights, else the largest of each slot over all words. */
  function weightsOf(rows, word) {
    if (word !== null) return rows[word];
    return (rows[0] || []).map((_, slot) => Math.max(...rows.map((row) => row[slot])));
  }

  /** The slots with most weight, most first. */
  function strongest(row, count = 3) {
    return [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, count).filter((slot) => row[slot] > 0.005);
  }

  function place(source, slot) {
    const { kind, width, seconds_per_slot: step } = source.layout;
    if (kind === "grid") return `row ${Math.floor(slot / width) + 1}, column ${(slot % width) + 1}`;
    if (kind === "time") return `${(slot * step).toFixed(2)} to ${seconds((slot + 1) * step)}`;
    return source.labels[slot] ? `“${source.labels[slot]}”` : `slot ${slot + 1}`;
  }

  function details(title, ...content) {
    return make("details", {}, make("summary", {}, title), ...content);
  }

  /** A table whose rows are filled when it is opened first. */
  function table(title, header, rows) {
    const body = make("tbody");
    const head = make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col" }, text))));
    const element = details(title, make("div", { class: "ma-scroll", tabindex: "0", role: "region", "aria-label": title },
      make("table", {}, head, body)));
    element.addEventListener("toggle", () => {
      if (!body.children.length) body.append(...rows());
    });
    return element;
  }

  const cells = (first, others) =>
    make("tr", {}, make("th", { scope: "row", dir: "auto" }, first), others.map((text) => make("td", {}, text)));

  function whereTable(source, output, rows) {
    return table("As a table", ["word", "probability", "looks most at"], () =>
      output.words.map((word, index) =>
        cells(word.text, [percent(word.probability),
          strongest(rows[index]).map((slot) => `${place(source, slot)} (${percent(rows[index][slot])})`).join("; ")])));
  }

  /* ---- a picture ---- */

  class Picture {
    constructor(source, output, view) {
      Object.assign(this, { source, view, output, rows: unpack(output.attention[source.name]) });
      this.media = source.media || { width: 448, height: 448, seen: [0, 0, 448, 448] };
      this.byCell = false;
      const { src, width, height, seen } = this.media;
      this.image = make("img", { src, width, height, alt: `the input ${source.name}` });
      if (!src) this.image.hidden = true;
      this.shade = make("canvas", { "aria-hidden": "true" });
      const box = make("div", { class: "ma-seen", "aria-hidden": "true" });
      this.photo = make("div", { class: "ma-photo" }, this.image, this.shade, box);
      this.photo.style.width = `min(100%, ${LARGEST * Math.min(1, width / height)}rem)`;
      for (const element of [this.shade, box]) {
        const [left, top, across, down] = [seen[0] / width, seen[1] / height, seen[2] / width, seen[3] / height].map(
          (share) => `${100 * share}%`);
        Object.assign(element.style, { left, top, width: across, height: down });
      }
      this.many = make("div", { class: "ma-many", hidden: true });
      const cell = make("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggleCells(cell) }, "by cell");
      const all = make("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggleAll(all) }, "all words");
      this.element = make("div", {}, this.photo, make("div", { class: "ma-tools" }, cell, all), this.many,
        whereTable(source, output, this.rows));
      if (src) this.image.decode().then(() => this.fill(), () => {});
    }

    toggleCells(button) {
      this.byCell = !this.byCell;
      button.setAttribute("aria-pressed", this.byCell);
      this.show(this.word);
      if (!this.many.hidden) this.fill();
    }

    toggleAll(button) {
      this.many.hidden = !this.many.hidden;
      button.setAttribute("aria-pressed", !this.many.hidden);
      this.fill();
    }

    /** Darken what got little attention: the strongest cell stays bright, unless all are weak. */
    cover(canvas, row, size) {
      const { height, width } = this.source.layout;
      const most = Math.max(3 / row.length, ...row);
      const small = make("canvas", { width, height });
      const pixels = new ImageData(width, height);
      row.forEach((weight, slot) => { pixels.data[4 * slot + 3] = Math.round(190 * (1 - weight / most)); });
      small.getContext("2d").putImageData(pixels, 0, 0);
      Object.assign(canvas, { width: size, height: size });
      const context = canvas.getContext("2d");
      Object.assign(context, { imageSmoothingEnabled: !this.byCell, imageSmoothingQuality: "high" });
      context.drawImage(small, 0, 0, size, size);
      return context;
    }

    show(word) {
      this.word = word;
      if (word === null) this.shade.width = this.shade.height = 1;
      else this.cover(this.shade, this.rows[word], 448);
    }

    fill() {
      if (this.many.hidden) return;
      const [left, top, across, down] = this.media.seen;
      const scale = this.image.naturalWidth / this.media.width || 1;
      this.many.replaceChildren(...this.output.words.map((word, index) => {
        const canvas = make("canvas", { "aria-hidden": "true" });
        const context = this.cover(canvas, this.rows[index], 160);
        context.globalCompositeOperation = "destination-over";
        if (this.media.src) {
          context.drawImage(this.image, left * scale, top * scale, across * scale, down * scale, 0, 0, 160, 160);
        }
        return make("figure", {}, canvas,
          make("figcaption", {}, make("button", { type: "button", onclick: () => this.view.choose(index) }, word.text)));
      }));
    }
  }

  /* ---- a recording ---- */

  class Recording {
    constructor(source, output, view) {
      Object.assign(this, { source, output, view, rows: unpack(output.attention[source.name]) });
      const { media, layout, name } = source;
      const slots = output.attention[name].columns;
      this.seconds = media ? media.seconds : slots * layout.seconds_per_slot;
      this.strip = make("canvas", { "aria-hidden": "true", width: slots, height: 1 });
      this.strip.style.width = percent(Math.min(1, (slots * layout.seconds_per_slot) / this.seconds)).replace(" ", "");
      this.head = make("div", { class: "ma-head", "aria-hidden": "true" });
      this.time = make("div", { class: "ma-time" });
      this.time.style.width = `${Math.max(20, 7 * this.seconds)}rem`;
      if (media) {
        this.sound = make("audio", { controls: true, preload: "auto", src: media.src, "aria-label": `the input ${name}` });
        this.time.append(make("img", { src: media.spectrogram, alt: `spectrogram, ${seconds(this.seconds)}`,
          onclick: (event) => this.seek(event) }), this.head);
        this.sound.addEventListener("play", () => this.follow());
        this.sound.addEventListener("seeked", () => this.move());
      }
      this.time.append(this.strip);
      this.buttons = [];
      for (const [index, times] of (output.times[name] || []).entries()) this.addLanes(times, index === 0);
      this.element = make("div", {},
        make("div", { class: "ma-scroll", tabindex: "0", role: "region", "aria-label": `time line of ${name}` }, this.time),
        this.sound, this.timesTable(), whereTable(source, output, this.rows));
    }

    addLanes({ method, words }, first) {
      this.time.append(make("div", { class: "ma-lane ma-label" }, `word times by ${method === "ctc" ? "CTC" : method}`));
      const ends = []; // of the last word in each lane
      const lanes = [];
      words.forEach(([start, end], index) => {
        const text = this.output.words[index] ? this.output.words[index].text : "";
        let lane = ends.findIndex((last) => last <= start);
        if (lane < 0) lane = lanes.push(make("div", { class: "ma-lane" })) - 1;
        ends[lane] = Math.max(end, start + (0.55 * (text.length + 1)) / 7);
        const button = make("button", { type: "button", dir: "auto", title: `${start.toFixed(2)} to ${seconds(end)}`,
          onclick: () => { this.view.choose(index); this.play(start, end); } }, text);
        button.style.left = `${(100 * start) / this.seconds}%`;
        button.style.minWidth = `${(100 * (end - start)) / this.seconds}%`;
        lanes[lane].append(button);
        if (first) this.buttons.push(button);
      });
      this.time.append(...lanes);
    }

    timesTable() {
      const all = this.output.times[this.source.name] || [];
      if (!all.length) return null;
      const header = ["word", ...all.flatMap(({ method }) => [`start (${method})`, `end (${method})`, `confidence (${method})`])];
      return table("Times as a table", header, () => this.output.words.map((word, index) =>
        cells(word.text, all.flatMap(({ words }) => {
          const [start, end, confidence] = words[index];
          return [start.toFixed(2), end.toFixed(2), percent(confidence)];
        }))));
    }

    seek(event) {
      this.sound.currentTime = (event.offsetX / event.target.clientWidth) * this.seconds;
    }

    play(start, end) {
      if (!this.sound) return;
      this.until = end;
      this.sound.currentTime = start;
      this.sound.play().catch(() => {});
    }

    move() {
      this.head.style.left = `${(100 * this.sound.currentTime) / this.seconds}%`;
    }

    follow() {
      this.move();
      if (this.until !== undefined && this.sound.currentTime >= this.until) this.sound.pause();
      if (this.sound.paused) this.until = undefined;
      else requestAnimationFrame(() => this.follow());
    }

    show(word) {
      this.buttons.forEach((button, index) => button.setAttribute("aria-pressed", index === word));
      const row = weightsOf(this.rows, word);
      const most = Math.max(8 / row.length, ...row);
      const pixels = new ImageData(row.length || 1, 1);
      row.forEach((weight, slot) => pixels.data.set([11, 92, 173, Math.round((255 * weight) / most)], 4 * slot));
      this.strip.getContext("2d").putImageData(pixels, 0, 0);
    }
  }

  /* ---- a text ---- */

  class Text {
    constructor(source, output, view) {
      Object.assign(this, { source, output, view, rows: unpack(output.attention[source.name]) });
      const words = source.labels;
      this.words = words.map((word) => make("span", { class: "ma-on" }, word));
      this.linked = words.length <= MOST_LINKED && output.words.length <= MOST_LINKED;
      this.element = make("div");
      if (this.linked) this.addLinks();
      else this.element.append(make("p", { class: "ma-text", dir: "auto" }, this.words.flatMap((word) => [word, " "])));
      this.element.append(this.heatMap(), whereTable(source, output, this.rows));
    }

    addLinks() {
      this.targets = this.output.words.map((word) => make("span", {}, word.text));
      this.svg = document.createElementNS(NS, "svg");
      this.svg.setAttribute("aria-hidden", "true");
      const line = (spans, hidden) => make("p", { class: "ma-line", dir: "auto", "aria-hidden": hidden }, spans);
      this.links = make("div", { class: "ma-links" }, line(this.words), this.svg, line(this.targets, "true"));
      const label = `links between ${this.source.name} and the output`;
      this.element.append(make("div", { class: "ma-scroll", tabindex: "0", role: "region", "aria-label": label }, this.links));
      new ResizeObserver(() => this.draw()).observe(this.links);
    }

    draw() {
      const frame = this.svg.getBoundingClientRect();
      const middle = (span) => { const box = span.getBoundingClientRect(); return box.left + box.width / 2 - frame.left; };
      const from = this.words.map(middle);
      const to = this.targets.map(middle);
      const paths = this.rows.flatMap((row, word) => row.flatMap((weight, slot) => {
        if (weight < FAINTEST || (this.word !== null && this.word !== word)) return [];
        const path = document.createElementNS(NS, "path");
        path.setAttribute("d", `M${from[slot]},2C${from[slot]},50 ${to[word]},40 ${to[word]},88`);
        path.setAttribute("stroke-width", 1 + 5 * weight);
        path.setAttribute("stroke-opacity", 0.15 + 0.85 * weight);
        return [path];
      }));
      this.svg.replaceChildren(...paths);
    }

    heatMap() {
      return table("Heat map", ["", ...this.source.labels], () => this.output.words.map((word, index) => {
        const row = this.rows[index].map((weight) => {
          const cell = make("td", { class: "ma-number ma-on" }, weight < 0.005 ? "" : String(Math.round(100 * weight)));
          cell.style.setProperty("--share", `${100 * weight}%`);
          return cell;
        });
        return make("tr", {}, make("th", { scope: "row", dir: "auto" }, word.text), row);
      }));
    }

    show(word) {
      this.word = word;
      const row = word === null ? [] : this.rows[word];
      this.words.forEach((span, slot) => span.style.setProperty("--share", `${100 * (row[slot] || 0)}%`));
      if (this.linked && this.svg.isConnected) this.draw();
    }
  }

  /* ---- a layout of a plugin ---- */

  class Drawing {
    constructor(source, output) {
      const svg = (output.drawings || {})[source.name] || "";
      const drawn = svg.startsWith("<svg");
      const src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
      const picture = drawn ? make("img", { src, alt: `attention over ${source.name}` }) : make("p", {}, svg);
      this.element = make("div", { class: "ma-drawing" }, picture,
        whereTable(source, output, unpack(output.attention[source.name])));
    }

    show() {}
  }

  const PANELS = { grid: Picture, time: Recording, tokens: Text };

  /* ---- the whole ---- */

  class View extends HTMLElement {
    connectedCallback() {
      const script = this.querySelector(":scope > script");
      if (script && !this.prediction) this.data = JSON.parse(script.textContent);
    }

    set data(prediction) {
      this.prediction = prediction;
      const parts = prediction.pieces ? prediction.pieces : [prediction];
      this.replaceChildren(...parts.flatMap((part) => (part.view ? [new Part(part, parts.length > 1).element] : [])));
      if (prediction.pieces) this.addDoubts(prediction.doubts || []);
      if (prediction.error) this.append(make("p", { class: "ma-doubts", role: "alert" }, prediction.error));
    }

    get data() {
      return this.prediction;
    }

    addDoubts(doubts) {
      if (doubts.length) this.append(make("ul", { class: "ma-doubts" }, doubts.map((doubt) => make("li", {}, doubt))));
    }
  }

  /** A prediction, or a piece of one that was cut. */
  class Part {
    constructor(part, isPiece) {
      Object.assign(this, { view: part.view, word: null, body: make("div") });
      const timed = this.view.sources.some((source) => source.layout && source.layout.kind === "time");
      const title = !isPiece ? "prediction" : timed ? `${part.start.toFixed(1)} to ${seconds(part.end)}` : `characters ${part.start + 1} to ${part.end}`;
      this.element = make("section", { "aria-label": title });
      if (isPiece) this.element.append(make("h2", { class: "ma-piece" }, title));
      if (this.view.outputs.length > 1) this.element.append(this.outputList());
      this.element.append(this.body);
      this.open(0);
    }

    outputList() {
      this.choices = this.view.outputs.map((output, index) => make("button", { type: "button",
        "aria-pressed": "false", dir: "auto", onclick: () => this.open(index) }, output.text || "(empty)"));
      const items = this.choices.map((choice, index) => make("li", {}, choice, " ",
        make("small", {}, `score ${Number(this.view.outputs[index].score).toFixed(3)}`)));
      return make("ol", { class: "ma-outputs", "aria-label": "outputs, best first" }, items);
    }

    open(index) {
      const output = this.view.outputs[index];
      this.output = output;
      (this.choices || []).forEach((choice, other) => choice.setAttribute("aria-pressed", other === index));
      this.words = output.words.map((word, number) => this.wordButton(word, number));
      this.status = make("p", { class: "ma-status", "aria-live": "polite" });
      this.panels = [];
      const seen = this.view.sources.map((source) => this.sourcePanel(source, output));
      const bar = make("div", { class: "ma-words", role: "toolbar", "aria-label": "words of the output", dir: "auto",
        onkeydown: (event) => this.step(event) }, this.words.flatMap((word) => [word, " "]));
      const doubts = output.doubts.length
        ? make("ul", { class: "ma-doubts", "aria-label": "doubts" }, output.doubts.map((doubt) => make("li", {}, doubt))) : null;
      this.body.replaceChildren(bar, this.status, ...[doubts, this.sourceUse(output), ...seen, this.readings(output)].filter(Boolean));
      this.choose(null);
    }

    wordButton(word, number) {
      const title = `probability ${percent(word.probability)}`;
      const button = make("button", { type: "button", title, "aria-pressed": "false", tabindex: number ? "-1" : "0",
        onclick: () => this.choose(this.word === number ? null : number),
        onpointerenter: (event) => { if (event.pointerType === "mouse" && !this.held) this.show(number); },
        onpointerleave: () => this.show(this.word) }, word.text);
      const tint = `color-mix(in srgb, var(--focus) ${Math.round(100 * (1 - word.probability))}%, transparent)`;
      button.style.setProperty("--tint", tint);
      return button;
    }

    sourcePanel(source, output) {
      const title = make("h3", {}, source.name);
      const panel = make("section", { class: "ma-panel", "aria-label": `source ${source.name}` }, title);
      if (!output.attention[source.name]) {
        panel.append(make("p", {}, source.missing ? "not given" : "the model does not attend to this source"));
        return panel;
      }
      const drawn = new (PANELS[source.layout.kind] || Drawing)(source, output, this);
      this.panels.push([source, drawn, unpack(output.attention[source.name])]);
      if (source.note) panel.append(make("p", { class: "ma-note" }, source.note));
      panel.append(drawn.element);
      return panel;
    }

    /** How much each source counted for each word, where the decoder weighs them or has gates. */
    sourceUse(output) {
      const rows = [["shares", "share of"], ["gates", "gate of"]].flatMap(([key, title]) =>
        Object.entries(output[key] || {}).map(([source, values]) => [`${title} ${source}`, values]));
      if (!rows.length) return null;
      const element = table("How much each source counted", ["", ...output.words.map((word) => word.text)], () =>
        rows.map(([title, values]) => make("tr", {}, make("th", { scope: "row" }, title), values.map((value) => {
          const cell = make("td", { class: "ma-number ma-on" }, percent(value));
          cell.style.setProperty("--share", `${100 * value}%`);
          return cell;
        }))));
      element.open = true;
      return element;
    }

    readings(output) {
      const names = [...new Set(Object.values(output.readings).flatMap((reading) => Object.keys(reading)))];
      if (!names.length) return null;
      return table("How the input was read", ["source", ...names], () => Object.entries(output.readings).map(
        ([source, reading]) => cells(source, names.map((name) => String(reading[name] ?? "")))));
    }

    step(event) {
      const count = this.words.length;
      const at = this.words.indexOf(document.activeElement);
      const forward = getComputedStyle(event.currentTarget).direction === "rtl" ? -1 : 1;
      const to = { ArrowRight: at + forward, ArrowLeft: at - forward, Home: 0, End: count - 1 }[event.key];
      if (event.key === "Escape") this.choose(null);
      if (to === undefined || to < 0 || to >= count) return;
      event.preventDefault();
      this.words[to].focus();
      this.choose(to);
    }

    /** Choose a word, or none. */
    choose(word) {
      this.word = word;
      this.words.forEach((button, index) => {
        button.setAttribute("aria-pressed", index === word);
        button.tabIndex = index === (word ?? 0) ? 0 : -1;
      });
      this.show(word);
    }

    show(word) {
      for (const [, drawn] of this.panels) drawn.show(word);
      if (word === null) {
        this.status.textContent = this.words.length ? "Choose a word to see where the model looked." : "The output is empty.";
        return;
      }
      const { text, probability } = this.output.words[word];
      const places = this.panels.map(([source, , rows]) => {
        const [slot] = strongest(rows[word], 1);
        return slot === undefined ? "" : `${source.name}: most at ${place(source, slot)} (${percent(rows[word][slot])})`;
      });
      this.status.textContent = [`“${text}” (${percent(probability)})`, ...places.filter(Boolean)].join(" · ");
    }
  }

  if (!customElements.get("multiattn-view")) customElements.define("multiattn-view", View);
})();
