/* The page of a server: collects an input, asks each chosen run, shows the answers in the viewer. */
"use strict";
(() => {
  const RATE = 16000; // Hz of a recording of the microphone
  const token = new URLSearchParams(location.hash.slice(1)).get("token") || sessionStorage.getItem("token") || "";
  if (token) sessionStorage.setItem("token", token);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const $ = (id) => document.getElementById(id);
  const given = new Map(); // source -> Blob
  let runs = [];

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  const chosenRuns = () => runs.filter((run) => !$(`run-${run.name}`) || $(`run-${run.name}`).checked);

  /* ---- sources ---- */

  function sourceField(source) {
    const title = make("h2", {}, source.name);
    const box = make("div", { class: "source" }, title);
    if (source.kind === "text") {
      const area = make("textarea", { "aria-label": source.name, name: source.name, dir: "auto",
        placeholder: "Type or paste a text" });
      box.append(area);
      return box;
    }
    const shown = make("div", { class: "shown" });
    const accept = source.suffixes.join(",") || undefined;
    const pick = make("input", { type: "file", accept, "aria-label": `file for ${source.name}`,
      onchange: () => pick.files[0] && take(source, pick.files[0], shown) });
    const tools = make("p", { class: "buttons" }, pick);
    if (source.suffixes.includes(".wav")) tools.append(recorder(source, shown));
    box.append(tools, make("p", { class: "small" }, "Choose, drop or paste a file."), shown);
    box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      box.classList.remove("over");
      if (event.dataTransfer.files[0]) take(source, event.dataTransfer.files[0], shown);
    });
    box.dataset.source = source.name;
    return box;
  }

  function take(source, file, shown) {
    given.set(source.name, file);
    const url = URL.createObjectURL(file);
    const preview = file.type.startsWith("audio/")
      ? make("audio", { controls: true, src: url, "aria-label": `the chosen ${source.name}` })
      : file.type.startsWith("image/")
        ? make("img", { class: "chosen", src: url, alt: `the chosen ${source.name}` })
        : make("p", {}, file.name || "a file");
    shown.replaceChildren(preview);
    $("state").textContent = "";
  }

  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    const box = document.querySelector("[data-source]");
    if (!file || !box) return;
    const source = allSources().find((each) => each.name === box.dataset.source);
    take(source, file, box.querySelector(".shown"));
  });

  /* ---- the microphone, without any codec: samples become a wav file at 16 kHz ---- */

  function recorder(source, shown) {
    let running = null;
    const button = make("button", { type: "button", "aria-pressed": "false", onclick: async () => {
      if (running) {
        const stop = running;
        running = null;
        button.textContent = "Record";
        button.setAttribute("aria-pressed", "false");
        take(source, await stop(), shown);
        return;
      }
      try {
        running = await record();
        button.textContent = "Stop";
        button.setAttribute("aria-pressed", "true");
      } catch (error) {
        $("state").textContent = `The microphone cannot be used: ${error.message}`;
      }
    } }, "Record");
    return button;
  }

  async function record() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    const parts = [];
    const input = context.createMediaStreamSource(stream);
    await context.audioWorklet.addModule("/static/recorder.js");
    const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
    node.port.onmessage = (event) => parts.push(event.data);
    input.connect(node);
    return async () => {
      input.disconnect();
      stream.getTracks().forEach((track) => track.stop());
      const rate = context.sampleRate;
      await context.close();
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil((length * RATE) / rate)), RATE);
      const buffer = offline.createBuffer(1, Math.max(1, length), rate);
      let at = 0;
      for (const part of parts) { buffer.copyToChannel(part, 0, at); at += part.length; }
      const player = offline.createBufferSource();
      player.buffer = buffer;
      player.connect(offline.destination);
      player.start();
      return wav((await offline.startRendering()).getChannelData(0));
    };
  }

  function wav(samples) {
    const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const text = (offset, value) => [...value].forEach((letter, index) => view.setUint8(offset + index, letter.charCodeAt(0)));
    text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true); view.setUint16(32, 2, true);
    view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * samples.length, true);
    samples.forEach((sample, index) =>
      view.setInt16(44 + 2 * index, Math.max(-1, Math.min(1, sample)) * 32767, true));
    return new File([view], "recording.wav", { type: "audio/wav" });
  }

  /* ---- settings, examples ---- */

  function control(name, value) {
    const field = name === "method"
      ? make("select", { name }, ...["beam", "sample", "ctc"].map((each) => make("option", {}, each)))
      : make("input", { name, type: "number", step: Number.isInteger(value) && name !== "length_penalty" ? "1" : "any", min: "0" });
    field.value = value;
    field.dataset.default = value;
    return make("label", {}, name.replace("_", " "), field);
  }

  const changed = () => [...document.querySelectorAll(".controls [name]")].filter((field) => field.value !== field.dataset.default);

  function allSources() {
    const byName = new Map();
    for (const run of chosenRuns()) for (const source of run.sources) byName.set(source.name, source);
    return [...byName.values()];
  }

  function draw() {
    const texts = new Map([...document.querySelectorAll("#sources textarea")].map((area) => [area.name, area.value]));
    given.clear();
    $("sources").replaceChildren(...allSources().map(sourceField));
    for (const area of document.querySelectorAll("#sources textarea")) area.value = texts.get(area.name) || "";
    const [first] = chosenRuns();
    document.querySelector(".controls").replaceChildren(
      ...(first ? Object.entries(first.search).map(([name, value]) => control(name, value)) : []));
    $("examples").hidden = !first || !first.examples.length;
    $("examples").lastElementChild.replaceChildren(...(first ? first.examples : []).map((example) =>
      make("button", { type: "button", dir: "auto", onclick: () => ask({ example: example.id }) }, example.preview)));
  }

  /* ---- asking ---- */

  async function ask(fields) {
    const asked = chosenRuns();
    $("state").textContent = "…";
    $("go").disabled = true;
    const columns = asked.map((run) => make("article", { class: "answer" }, make("h2", {}, run.name)));
    const grid = make("div", { class: "answers" }, ...columns);
    $("answers").replaceChildren(grid);
    await Promise.all(asked.map(async (run, index) => {
      const started = performance.now();
      const answer = await one(run, fields);
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      if (answer.error) {
        columns[index].append(make("p", { class: "error", role: "alert" }, answer.error));
        return;
      }
      const view = document.createElement("multiattn-view");
      view.data = answer;
      columns[index].append(view, make("p", { class: "small" }, `${seconds} s `, ...link(run, fields)));
    }));
    $("state").textContent = "";
    $("go").disabled = false;
  }

  async function one(run, fields) {
    const body = new FormData();
    body.append("run", run.name);
    const known = new Set(run.sources.map((source) => source.name));
    for (const [name, value] of Object.entries(fields)) if (name === "example" || known.has(name)) body.append(name, value);
    for (const field of changed()) body.append(field.name, field.value);
    try {
      const response = await fetch("/v1/predict", { method: "POST", body, headers });
      return await response.json();
    } catch (error) {
      return { error: `The server does not answer: ${error.message}` };
    }
  }

  /** A link that asks the same again, unless a file was sent, which is nowhere kept. */
  function link(run, fields) {
    if (Object.values(fields).some((value) => value instanceof Blob)) return [];
    const again = new URLSearchParams({ ...fields, run: run.name });
    for (const field of changed()) again.set(field.name, field.value);
    return [make("a", { href: `#${again}` }, "link to this answer")];
  }

  function fromLink() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const run = runs.find((each) => each.name === asked.get("run"));
    if (!run) return;
    for (const each of runs) if ($(`run-${each.name}`)) $(`run-${each.name}`).checked = each === run;
    draw();
    for (const field of document.querySelectorAll(".controls [name]")) if (asked.has(field.name)) field.value = asked.get(field.name);
    const fields = asked.has("example") ? { example: asked.get("example") } : {};
    for (const area of document.querySelectorAll("#sources textarea")) {
      if (asked.has(area.name)) { area.value = asked.get(area.name); fields[area.name] = area.value; }
    }
    if (Object.keys(fields).length) ask(fields);
  }

  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(given);
    for (const area of document.querySelectorAll("#sources textarea")) if (area.value.trim()) fields[area.name] = area.value;
    if (Object.keys(fields).length) ask(fields);
    else $("state").textContent = "Give an input first.";
  });
  window.addEventListener("hashchange", fromLink);

  (async () => {
    const response = await fetch("/v1/runs", { headers });
    const answer = await response.json();
    if (answer.error) { $("state").textContent = `${answer.error} Open the page as #token=TOKEN.`; return; }
    runs = answer;
    document.title = runs.map((run) => run.name).join(", ");
    if (runs.length > 1) {
      $("runs").hidden = false;
      for (const run of runs) {
        $("runs").append(make("label", {}, make("input", { type: "checkbox", id: `run-${run.name}`, checked: true, onchange: draw }),
          ` ${run.name} `, make("span", { class: "small" }, run.summary)), make("br"));
      }
    } else document.querySelector("h1").textContent = runs[0].summary || runs[0].name;
    draw();
    fromLink();
  })();
})();
