"use strict";
// The page of ppmm's server: asks /about what the model takes, sends a form to /predict, /search or /explain.
const words = {
  en: { model: "Model", hint: "Give any of these, not all are needed.", ask: "Ask", search: "Search", clear: "Clear",
    explain: "Where does it look?", answer: "Answer", draw: "Or draw", wipe: "Wipe", record: "Record", stop: "Stop",
    file: "File", text: "Text", numbers: "Numbers, separated by spaces", took: "in the server", round: "with the way there and back",
    nothing: "Give at least one of the inputs.", busy: "Asking ...", noMic: "No microphone: ", items: "items in the collection",
    looks: "Red: hiding this part makes the answer less sure.", offline: "The server does not answer." },
  zh: { model: "模型", hint: "给出任意一项即可，不必全部。", ask: "提问", search: "搜索", clear: "清空",
    explain: "它在看哪里？", answer: "回答", draw: "或手绘", wipe: "擦除", record: "录音", stop: "停止",
    file: "文件", text: "文字", numbers: "数字，以空格分隔", took: "服务器内", round: "含往返",
    nothing: "请至少给出一项输入。", busy: "正在提问……", noMic: "没有麦克风：", items: "个条目",
    looks: "红色：遮住这里会使回答更不确定。", offline: "服务器没有应答。" },
};
const at = (id) => document.getElementById(id);
let language = (navigator.language || "en").startsWith("zh") ? "zh" : "en";
const say = (key) => words[language][key];
let about = { models: [] };
const given = {}; // field -> Blob

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function translate() {
  document.documentElement.lang = language;
  at("language").textContent = language === "en" ? "中文" : "English";
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
}

function present() { return about.models.find((model) => model.name === at("model").value); }

function labelled(key) { return made("span", { textContent: say(key) }); }

function word(element, key) { element.dataset.say = key; return element; }

function imageField(name) {
  const shown = made("img", { className: "shown", alt: name, hidden: true });
  const pad = made("canvas", { className: "pad", width: 280, height: 280 });
  pad.setAttribute("aria-label", name);
  const file = made("input", { type: "file", accept: "image/*", id: `file_${name}` });
  const show = (blob) => { given[name] = blob; shown.src = URL.createObjectURL(blob); shown.hidden = false; };
  file.onchange = () => { if (file.files[0]) show(file.files[0]); };
  const pen = pad.getContext("2d");
  const wipe = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, 280, 280); };
  wipe();
  let drawing = false;
  const place = (event) => { const box = pad.getBoundingClientRect(); return [(event.clientX - box.left) * 280 / box.width, (event.clientY - box.top) * 280 / box.height]; };
  pad.onpointerdown = (event) => { drawing = true; pad.setPointerCapture(event.pointerId); pen.beginPath(); pen.moveTo(...place(event)); };
  pad.onpointermove = (event) => {
    if (!drawing) return;
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    pen.lineTo(...place(event)); pen.stroke();
  };
  pad.onpointerup = () => { drawing = false; pad.toBlob((blob) => { given[name] = blob; shown.hidden = true; }, "image/png"); };
  const clear = word(made("button", { type: "button", className: "plain", textContent: say("wipe") }), "wipe");
  clear.onclick = () => { wipe(); delete given[name]; shown.hidden = true; file.value = ""; };
  const draw = made("details", {}, word(made("summary", { textContent: say("draw") }), "draw"), pad, clear);
  return [made("label", { htmlFor: file.id }, word(labelled("file"), "file")), file, draw, shown];
}

function wav(parts, rate) { // float32 blocks -> a 16 bit WAV file
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (place, letters) => [...letters].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * length, true);
  let place = 44;
  for (const part of parts) for (const value of part) { view.setInt16(place, Math.max(-1, Math.min(1, value)) * 32767, true); place += 2; }
  return new Blob([view], { type: "audio/wav" });
}

function audioField(name) {
  const player = made("audio", { controls: true, hidden: true });
  const file = made("input", { type: "file", accept: "audio/*", id: `file_${name}` });
  const show = (blob) => { given[name] = blob; player.src = URL.createObjectURL(blob); player.hidden = false; };
  file.onchange = () => { if (file.files[0]) show(file.files[0]); };
  const record = word(made("button", { type: "button", className: "plain", textContent: say("record") }), "record");
  let stop = null;
  record.onclick = async () => {
    if (stop) { stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const context = new AudioContext();
      const source = context.createMediaStreamSource(stream);
      const taps = context.createScriptProcessor(4096, 1, 1);
      const parts = [];
      taps.onaudioprocess = (event) => parts.push(event.inputBuffer.getChannelData(0).slice());
      source.connect(taps); taps.connect(context.destination);
      word(record, "stop").textContent = say("stop");
      stop = () => {
        stream.getTracks().forEach((track) => track.stop()); taps.disconnect(); context.close();
        stop = null; word(record, "record").textContent = say("record"); show(wav(parts, context.sampleRate));
      };
    } catch (error) { fail(say("noMic") + error.message); }
  };
  return [made("label", { htmlFor: file.id }, word(labelled("file"), "file")), file, made("div", { className: "row" }, record), player];
}

function textField(name, kind) {
  const input = made("input", { type: "text", id: `text_${name}`, name, autocomplete: "off" });
  input.dataset.field = name;
  const key = kind === "text" ? "text" : "numbers";
  return [made("label", { htmlFor: input.id }, word(labelled(key), key)), input];
}

function showModel() {
  const model = present();
  for (const name of Object.keys(given)) delete given[name];
  at("fields").replaceChildren(...model.fields.map(({ name, kind }) => {
    const parts = kind === "image" ? imageField(name) : kind === "audio" ? audioField(name) : textField(name, kind);
    return made("fieldset", {}, made("legend", { textContent: name }), ...parts);
  }));
  at("title").textContent = model.name;
  at("version").textContent = `${model.name} ${model.version} · ${model.backend}`;
  at("search").hidden = !model.index;
  at("explain").hidden = !(model.targets.length && model.fields.some(({ kind }) => kind === "image"));
  at("answer").hidden = true;
}

function form() {
  const data = new FormData();
  for (const [name, blob] of Object.entries(given)) data.append(name, blob, blob.name || "value");
  for (const input of document.querySelectorAll("[data-field]")) if (input.value.trim()) data.append(input.dataset.field, input.value);
  return data;
}

function fail(text) { at("answer").hidden = false; at("message").className = "error"; at("message").textContent = text; }

async function ask(path) {
  const data = form();
  for (const id of ["bars", "heat", "hits", "took"]) at(id).replaceChildren();
  if (![...data.keys()].length) { fail(say("nothing")); return null; }
  at("answer").hidden = false; at("message").className = ""; at("message").textContent = say("busy");
  const buttons = document.querySelectorAll("#form button");
  buttons.forEach((button) => { button.disabled = true; });
  const began = performance.now();
  try {
    const response = await fetch(path, { method: "POST", body: data });
    const body = await response.json();
    if (!response.ok) { fail(body.error || `${response.status}`); return null; }
    at("message").textContent = "";
    const server = body.milliseconds === undefined ? "" : `${body.milliseconds} ms ${say("took")}, `;
    at("took").textContent = `${server}${(performance.now() - began).toFixed(1)} ms ${say("round")}`;
    return body;
  } catch (error) { fail(say("offline")); return null; } finally { buttons.forEach((button) => { button.disabled = false; }); }
}

function bars(result) {
  const rows = [];
  for (const [key, value] of Object.entries(result)) {
    if (key.endsWith("probabilities") || key === "matches") {
      for (const [label, share] of Object.entries(value).sort((a, b) => b[1] - a[1]).slice(0, 8)) {
        const meter = made("meter", { min: 0, max: 1, value: share });
        meter.setAttribute("aria-label", label);
        rows.push(made("div", { className: "bar" }, made("span", { textContent: label }), meter, made("b", { textContent: `${(100 * share).toFixed(1)} %` })));
      }
    } else if (key === "embeddings") {
      rows.push(made("p", { className: "small", textContent: Object.entries(value).map(([name, each]) => `${name}: [${each.slice(0, 4).map((x) => x.toFixed(3)).join(", ")}, ...] (${each.length})`).join(" · ") }));
    } else if (!key.endsWith("thresholds")) {
      rows.unshift(made("p", {}, made("span", { className: "small", textContent: `${key}: ` }), made("strong", { textContent: [value].flat().join(", ") })));
    }
  }
  at("bars").replaceChildren(...rows);
}

at("form").onsubmit = async (event) => {
  event.preventDefault();
  const body = await ask(`predict?model=${encodeURIComponent(present().name)}`);
  if (body) bars(body.result);
};
at("form").onreset = () => setTimeout(showModel);
at("search").onclick = async () => {
  const body = await ask("search");
  if (!body) return;
  const files = present().fields.find(({ name }) => name === body.field).kind;
  at("message").textContent = `${body.count} ${say("items")}`;
  at("hits").replaceChildren(...body.hits.map((hit) => {
    const shown = files === "image" ? made("img", { src: `items/${hit.item}`, alt: hit.text, loading: "lazy" })
      : files === "audio" ? made("audio", { src: `items/${hit.item}`, controls: true }) : made("p", { textContent: hit.text });
    return made("figure", {}, shown, made("figcaption", { className: "small", textContent: `${hit.score.toFixed(3)} ${hit.text}` }));
  }));
};
at("explain").onclick = async () => {
  const body = await ask(`explain?model=${encodeURIComponent(present().name)}`);
  if (!body) return;
  bars(body.result);
  const cells = made("div");
  cells.style.gridTemplate = `repeat(${body.grid}, 1fr) / repeat(${body.grid}, 1fr)`;
  const most = Math.max(1e-6, ...body.loss);
  for (const loss of body.loss) { const cell = made("span"); cell.style.background = `rgba(255,0,0,${(0.75 * Math.max(0, loss) / most).toFixed(3)})`; cells.append(cell); }
  const name = present().fields.find(({ kind }) => kind === "image").name;
  const picture = made("img", { src: URL.createObjectURL(given[name]), alt: name });
  at("heat").replaceChildren(made("p", { className: "small", textContent: say("looks") }), made("div", { className: "overlay" }, picture, cells));
};
at("model").onchange = showModel;
at("language").onclick = () => { language = language === "en" ? "zh" : "en"; translate(); };

fetch("about").then((response) => response.json()).then((body) => {
  about = body;
  at("model").replaceChildren(...about.models.map(({ name }) => made("option", { value: name, textContent: name })));
  translate();
  showModel();
  document.body.dataset.ready = "yes";
}).catch(() => fail(say("offline")));
