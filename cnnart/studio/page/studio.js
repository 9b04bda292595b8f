// The page: which tab, which photo, what is asked for, and what happens when something changes.

import { getJson, latestOnly, newFolder, pictureAddress, postForBlob, postJson, TAB, toFolder, upload } from "./api.js";
import * as camera from "./camera.js";
import { duration, element, gigabytes, readSize, segments, select, size, slider } from "./controls.js";
import { copy, follow, startJobs } from "./jobs.js";
import { badge, hideAfter, isReal, say, setBrush, showAfter, showAlone, showPhoto } from "./stage.js";
import { addPicture, askedStyles, canFast, canFine, chosen, fillStyles, forgetMasks, paintThumbnails, stopMask, stylesField } from "./styles.js";

const at = (id) => document.getElementById(id);
const COLORS = [["style", "The style's"], ["keep", "The photo's"], ["luma", "By luma"], ["histogram", "By histogram"]];
const WORK = [["draft", "Draft"], ["standard", "Standard"], ["fine", "Fine"]];
const GO = { paint: "Paint it", dream: "Dream it", texture: "Make more of it", inspect: "Look" };

const state = {
  tab: "paint", photo: null, method: "fast",
  paint: { strength: 0.5, stroke: 1, color: "style", size: "", preset: "standard" },
  dream: { preset: "eyes", strength: 0.5, size: "", color: "style" },
  texture: { size: "", tileable: "both", method: "auto", preset: "standard", scale: 1 },
  inspect: { what: "saliency", named: "", folder: null },
};
let facts;

// What is asked for

const without = (given, usual) => Object.fromEntries(
  Object.entries(given).filter(([key, value]) => value !== undefined && value !== usual[key]?.default));

function asked(kind) {
  const { photo } = state;
  if (state.tab === "paint") {
    const { strength, stroke, color, preset, size: text } = state.paint;
    const shared = { strength, color, size: readSize(text) };
    const command = kind || (method() === "fast" ? "fast-stylize" : "stylize");
    const settings = command === "stylize"
      ? { ...shared, style_scale: stroke, preset } : { ...shared, stroke };
    return { command, photo: photo?.id, styles: askedStyles(), settings: without(settings, facts.settings[command]) };
  }
  if (state.tab === "inspect") {
    const { what, named, folder } = state.inspect;
    return { what, photo: photo?.id, ...(what === "neighbors" ? { folder: folder?.id } : { named: named || null }) };
  }
  const settings = { ...state[state.tab], size: readSize(state[state.tab].size) };
  return { command: state.tab, photo: photo?.id, settings: without(settings, facts.settings[state.tab]) };
}

// Fast or fine, as far as the chosen styles allow.
function method() {
  if (!canFine()) return "fast";
  return canFast() ? state.method : "fine";
}

// What follows a change

// Two answers do: what is wrong by the one is not taken back by the other's success.
const faults = { line: "", preview: "" };
function fault(of, text) {
  const before = faults.line || faults.preview;
  faults[of] = text;
  const now = faults.line || faults.preview;
  if (now) say(now, true);
  else if (before && at("status").textContent === before) say("");
}

const preview = latestOnly(async () => {
  if (state.tab !== "paint" || !state.photo || camera.isOn()) return;
  if (!canFast()) { hideAfter(); return; }
  const given = asked("fast-stylize");
  const settings = { ...given.settings, size: isReal() ? 640 : Math.min(640, Math.max(256, Math.round(at("view").clientWidth * devicePixelRatio))) };
  const began = performance.now();
  try {
    await showAfter(await postForBlob("/api/preview", { ...given, settings, slot: `${TAB}:main`, rank: 0 }));
    document.documentElement.dataset.previewMs = String(Math.round(performance.now() - began));
    fault("preview", "");
    if (at("status").textContent === LOOKING) say("");
  } catch (error) {
    if (error.status !== 409) fault("preview", error.message);
  }
});

// What the painting would take, which is measured: asked for when nothing has changed for a while,
// and only where it may have changed. It is what a preview may have to wait for.
let planned = null, planning = 0, thumbnailed = null;  // the photo whose thumbnails are being painted
const costs = ({ settings: { strength, color, ...settings }, styles, ...given }) => JSON.stringify(
  { ...given, settings, styles: styles?.map(({ weight, ...style }) => style) });

const showPlan = latestOnly(async (given) => {
  at("plan").textContent = "Measuring time and memory…";
  at("plan").hidden = false;
  let text = "";
  try {
    const { size, seconds, memory, device_reason } = await postJson("/api/plan", { ...given, slot: `${TAB}:plan` });
    const takes = seconds === null ? "a time that is not known before" : `about ${duration(Math.max(1, seconds))}`;
    text = `${size.join(" × ")} px: ${takes}, ${gigabytes(memory)}, on ${device_reason}`;
  } catch (error) {
    if (error.status !== 409) text = error.message;
  }
  if (planned === costs(given)) { at("plan").textContent = text; at("plan").hidden = !text; }
});

function planLater() {
  const wanted = state.photo && state.tab !== "inspect" && !camera.isOn();
  if (wanted && planned === costs(asked())) return;
  planned = null;
  clearTimeout(planning);
  at("plan").hidden = true;
  if (!wanted) return;
  planning = setTimeout(() => {
    if (faults.line || thumbnailed) return;
    const given = asked();
    planned = costs(given);
    showPlan(given);
  }, 800);
}

const showLine = latestOnly(async () => {
  if (!state.photo) { at("line").textContent = "cnnart --help"; return; }
  try {
    const path = state.tab === "inspect" ? "/api/inspect/command-line" : "/api/command-line";
    at("line").textContent = (await postJson(path, asked())).command_line;
    fault("line", "");
    at("go").disabled = false;
  } catch (error) {
    fault("line", error.message);
    at("go").disabled = error.status === 422;
  }
});

let waiting = 0;
function changed() {
  if (!facts) return;
  preview();
  clearTimeout(waiting);
  waiting = setTimeout(showLine, 120);
  planLater();
  at("sketch").hidden = state.tab !== "paint" || method() !== "fine";
  at("fast-note")?.replaceChildren(note());
}

function note() {
  if (canFast() && canFine()) return method() === "fast" ? "One pass of a trained network: what you see is what you get." : "Minutes of work, finer strokes; the picture shown is a first look.";
  if (!canFine()) return "This style has a trained network and no picture: one pass.";
  return "No network was trained for this picture: a quick sketch shows what it will be like.";
}

// The form of each tab

function form() {
  const own = state[state.tab], settings = facts.settings;
  const set = (key) => (value) => { own[key] = value; changed(); };
  if (state.tab === "paint") {
    const mode = () => segments("How", [["fast", "Fast", !canFast()], ["fine", "Fine", !canFine()]], method(),
      (value) => { state.method = value; redraw(`[value=${value}]`); });
    const fine = method() === "fine";
    return [
      stylesField(() => at("style-file").click()),
      element("fieldset", { id: "brush-field", hidden: true },
        element("legend", {}, "Brush"),
        slider("Softness", { low: 0, high: 1 }, 0.6, (softness) => setBrush({ softness })),
        slider("Width", { low: 0.01, high: 0.25 }, 0.08, (width) => setBrush({ size: width })),
        element("label", { class: "check" }, element("input", { type: "checkbox", onchange: (event) => setBrush({ erase: event.target.checked }) }), "Erase")),
      slider("Strength", settings["fast-stylize"].strength, own.strength, set("strength"), { ends: ["photo", "style"] }),
      slider("Stroke", { low: 0.25, high: 4, help: settings["fast-stylize"].stroke.help }, own.stroke, set("stroke"), { ends: ["fine", "broad"], step: 0.05 }),
      element("div", { class: "pair" }, select("Colors", COLORS, own.color, set("color")), size(own.size, set("size"))),
      element("div", { class: "pair" }, mode(), fine ? select("Work", WORK, own.preset, set("preset")) : null),
      element("p", { class: "note", id: "fast-note" }, note()),
    ];
  }
  if (state.tab === "dream") {
    return [
      select("Dream of", facts.dreams.map((each) => [each.name, each.name.replaceAll("-", " ")]), own.preset,
        (value) => { own.preset = value; redraw("select"); }),
      element("p", { class: "note" }, facts.dreams.find((each) => each.name === own.preset)?.about || ""),
      slider("Strength", settings.dream.strength, own.strength, set("strength"), { ends: ["photo", "deep dream"] }),
      element("div", { class: "pair" }, select("Colors", COLORS, own.color, set("color")), size(own.size, set("size"))),
    ];
  }
  if (state.tab === "texture") {
    return [
      element("p", { class: "note" }, "More of the photo's texture; shown nine times side by side."),
      segments("Repeats without a seam", [["none", "No"], ["x", "→"], ["y", "↓"], ["both", "Both"]], own.tileable, set("tileable")),
      select("Method", settings.texture.method.choices.map((each) => [each, each]), own.method, set("method")),
      slider("Scale", { low: 0.25, high: 4, help: settings.texture.scale.help }, own.scale, set("scale"), { step: 0.05 }),
      element("div", { class: "pair" }, size(own.size, set("size"), "twice the photo's"), select("Work", WORK, own.preset, set("preset"))),
    ];
  }
  const what = segments("Show", [["saliency", "What it looks at"], ["occlusion", "What it misses"], ["neighbors", "What is like it"]],
    own.what, (value) => { own.what = value; redraw(`[value=${value}]`); });
  if (own.what === "neighbors") {
    const { folder } = own;
    return [
      what,
      element("button", { type: "button", id: "folder", onclick: () => at("folder-files").click() }, "Choose a folder…"),
      element("p", { class: "note" }, folder ? `${folder.name}: ${folder.pictures} pictures` : "No folder yet."),
      element("p", { class: "note" }, "The nearest pictures of a folder: by what a network sees in them, and by their pixels."),
    ];
  }
  const name = element("input", { type: "text", id: "class-name", value: own.named, list: "classes", placeholder: "what it sees most", oninput: (event) => set("named")(event.target.value.trim()) });
  return [
    what,
    element("div", {}, element("label", { class: "label", for: "class-name" }, "Of which class"), name),
    element("p", { class: "note" }, "Which pixels a classifier of a thousand things depends on."),
  ];
}

// `focused`: what had the focus, and is made anew.
function redraw(focused) {
  at("settings").replaceChildren(...form());
  if (focused) at("settings").querySelector(focused)?.focus();
  at("go").textContent = GO[state.tab];
  changed();
}

// Tabs

const tabs = [...document.querySelectorAll("[role=tab]")];
function openTab(tab) {
  for (const each of tabs) {
    each.setAttribute("aria-selected", String(each === tab));
    each.tabIndex = each === tab ? 0 : -1;
  }
  at("panel").setAttribute("aria-labelledby", tab.id);
  state.tab = tab.id.replace("tab-", "");
  stopMask();
  hideAfter();
  redraw();
}
tabs.forEach((tab, index) => {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    next.focus();
    openTab(next);
  });
});

// Photos in

const photos = [];

// Knows a photo; of several, each has a small picture to choose it by.
function addPhoto(known) {
  if (!photos.some((each) => each.id === known.id)) photos.push(known);
  at("photos").hidden = photos.length < 2;
  at("photos").replaceChildren(...photos.map((each) => element("li", {}, element("button", {
    "aria-pressed": String(each === state.photo), "aria-label": each.name, onclick: () => setPhoto(each),
  }, element("img", { src: pictureAddress(each.id, 128), alt: "" })))));
}

async function setPhoto(known) {
  camera.stop();
  at("camera").setAttribute("aria-pressed", "false");
  state.photo = known;
  addPhoto(known);
  forgetMasks(known.id);
  showPhoto(pictureAddress(known.id, isReal() ? 2048 : 1280));
  document.title = `${known.name} · cnnart studio`;
  say(`${known.name}, ${known.width} × ${known.height}`);
  at("go").disabled = false;
  changed();
  const began = performance.now();
  thumbnailed = known;  // they go before what the painting would take
  await paintThumbnails(known);
  if (thumbnailed === known) { thumbnailed = null; planLater(); }
  document.documentElement.dataset.thumbnailsMs = String(Math.round(performance.now() - began));
}

const LOOKING = "Learning this style, once: a minute or so.";

function useAsStyle(known) {
  addPicture(known, facts.any_style);
  say(facts.any_style ? LOOKING : "");  // until the first preview in it
}

async function bring(files, as = "photo") {
  for (const file of files) {
    if (file.type && !file.type.startsWith("image/")) { say(`${file.name} is no picture.`, true); continue; }
    if (file.size > facts.max_upload) { say(`${file.name} is too large: ${facts.max_upload >> 20} MB at most.`, true); continue; }
    say(`Reading ${file.name || "the picture"}…`);
    try {
      const known = await upload(file, file.name || "pasted.png");
      if (as === "style") { useAsStyle(known); redraw(); } else await setPhoto(known);
    } catch (error) { say(error.message, true); }
  }
}

// A folder to search: the browser reads it, the server gets its pictures.
async function bringFolder(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/") || /\.(heic|heif|avif|jxl|tiff?)$/i.test(file.name));
  if (!pictures.length) { say("No picture in that folder.", true); return; }
  const path = pictures[0].webkitRelativePath.split("/");
  const nested = pictures.some((file) => file.webkitRelativePath.split("/").length > 2);
  try {
    const folder = await newFolder(path.length > 1 ? path[0] : "pictures", nested);
    let brought = 0, passed = 0;
    const work = async () => {
      while (pictures.length) {
        const file = pictures.shift();
        if (file.size > facts.max_upload) { passed++; continue; }
        folder.pictures = (await toFolder(folder, file)).pictures;
        say(`Reading ${folder.name}: ${++brought} pictures…`);
      }
    };
    await Promise.all([work(), work(), work()]);
    folder.pictures = brought;
    state.inspect.folder = folder;
    say(passed ? `${passed} are too large and left out.` : "", Boolean(passed));
  } catch (error) { say(error.message, true); }
  if (state.tab === "inspect") redraw("#folder");
}
at("folder-files").addEventListener("change", (event) => { bringFolder(event.target.files).finally(() => { event.target.value = ""; }); });

for (const id of ["pick", "pick-too"]) at(id).addEventListener("click", () => at("file").click());
at("file").addEventListener("change", (event) => { bring(event.target.files); });
at("style-file").addEventListener("change", (event) => { bring(event.target.files, "style"); });
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) bring(event.clipboardData.files); });

// The whole page takes what is dropped: on its left as a photo, on its right as a style.
const side = (event) => (state.photo && state.tab === "paint" && event.clientX > innerWidth / 2 ? "style" : "photo");
window.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  at("drop").hidden = false;
  for (const each of at("drop").children) {
    each.classList.toggle("over", each.dataset.as === side(event));
    each.hidden = each.dataset.as === "style" && !(state.photo && state.tab === "paint");
  }
});
window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").hidden = true; });
window.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").hidden = true;
  bring(event.dataTransfer.files, side(event));
});

// The camera

at("record").addEventListener("click", async () => {
  if (!canFast()) { say("A clip is painted by the fast pass: choose a trained style.", true); return; }
  const seconds = Number(at("record-seconds").value);
  at("record").disabled = true;
  try {
    const clip = await camera.record(seconds, (left) => badge(`Recording: ${Math.max(0, left)} s`));
    await bring([new File([await camera.snapshot()], "snapshot.jpg", { type: "image/jpeg" })]);
    say("Bringing the clip in…");
    const known = await upload(clip, clip.name, "clips");
    const { settings, styles } = asked("fast-stylize");
    await paint({ command: "fast-stylize", clip: known.id, seconds, styles, settings });
  } catch (error) { say(error.message, true); }
  at("record").disabled = false;
});

at("camera").addEventListener("click", async () => {
  if (camera.isOn()) {
    const shot = await camera.snapshot();
    await bring([new File([shot], "snapshot.jpg", { type: "image/jpeg" })]);
    at("camera").textContent = "Camera";
    return;
  }
  at("camera").textContent = "Snapshot";
  at("camera").setAttribute("aria-pressed", "true");
  at("clip").hidden = false;
  try {
    await camera.start(() => {
      if (!canFast() || chosen.some(({ style }) => !style.name)) return null;
      const { strength, stroke, color } = state.paint;
      const query = new URLSearchParams({ format: "jpg", name: "frame.jpg", strength, stroke, color });
      for (const { style, weight } of chosen) query.append("style", `${style.name}:${weight}`);
      return query;
    }, showPhoto);
  } catch (error) {
    camera.stop();
    say(error.name === "NotAllowedError" ? "The browser does not allow the camera." : error.message, true);
  }
  at("camera").textContent = "Camera";
  at("camera").setAttribute("aria-pressed", "false");
  at("clip").hidden = true;
});

// Paint

async function paint(given) {
  stopMask();
  try {
    say("");
    follow(await postJson("/api/jobs", given), given.command === "texture");
  } catch (error) { say(error.message, true); }
}

async function look() {
  const began = performance.now();
  at("go").disabled = true;
  say("Looking…");
  try {
    showAlone(await postForBlob("/api/inspect", asked()));
    say(`Looked for ${duration((performance.now() - began) / 1000)}`);
  } catch (error) { say(error.message, true); }
  at("go").disabled = false;
}

at("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!state.photo) { at("file").click(); return; }
  if (state.tab === "inspect") look(); else paint(asked());
});
at("sketch").addEventListener("click", () => {
  const given = asked("stylize");
  paint({ ...given, settings: { ...given.settings, size: 256, preset: "draft" } });
});
at("copy").addEventListener("click", () => copy(at("line"), at("copy")));
window.addEventListener("masking", (event) => { if (at("brush-field")) at("brush-field").hidden = !event.detail; });
window.addEventListener("zoomed", (event) => {
  if (event.detail && state.photo) badge("1:1"); else badge("");
  preview();
});

facts = await getJson("/api/facts");
fillStyles(facts, () => { if (facts && at("settings").children.length) redrawIfNeeded(); });
let methodWas = "";
function redrawIfNeeded() {
  const now = `${canFast()}${canFine()}${method()}`;
  if (now !== methodWas && state.tab === "paint") { methodWas = now; redraw(); } else changed();
}
redraw();
for (const line of facts.warnings) say(line, true);
await startJobs(facts, {
  photo: setPhoto,
  style: (known) => { useAsStyle(known); redraw(); },
});
for (const known of facts.given) addPhoto(known);
if (facts.given.length) await setPhoto(facts.given[0]);
document.documentElement.dataset.ready = "true";
