// The styles as thumbnails of the photo, those that are chosen, and their masks.

import { pictureAddress, postForBlob, TAB, upload } from "./api.js";
import { element } from "./controls.js";
import { maskBlob, maskCanvas, say, startBrush, stopBrush } from "./stage.js";

export const styles = [];   // {key, name | picture, title, trained, picture_of}
// {style, weight, mask: null | {canvas, id}: brushed, named: "" | what is found in the photo}
export const chosen = [];
let blend = false, changed = () => {}, masking = null, aborted = null, photoId = null;
const WHERE = { subject: "Subject", background: "Background", person: "Person", "inverse:person": "All but people",
  face: "Face", "inverse:face": "All but faces" };

const grid = element("div", { id: "styles", role: "group", "aria-label": "Styles" });
const classes = element("datalist", { id: "classes" });
const list = element("ul", { class: "chosen", "aria-label": "Chosen styles" });

export function fillStyles(facts, onChange) {
  changed = onChange;
  document.body.append(classes);
  classes.append(...facts.classes.map((each) => element("option", { value: each })));
  for (const each of facts.styles) {
    add({ key: each.name, name: each.name, title: each.title, about: each.about, trained: each.trained,
      source: each.picture, still: each.picture ? `/api/styles/${each.name}?size=192` : null });
  }
  choose(styles.find((style) => style.trained) || styles[0]);
}

// A picture that was dropped becomes a style. `any`: whether a network paints in such at once.
export function addPicture(known, any) {
  const style = { key: known.id, picture: known.id, title: known.name.replace(/\.\w+$/, ""),
    about: "Your picture", trained: any, source: true, still: pictureAddress(known.id, 192) };
  if (!styles.some((each) => each.key === style.key)) add(style, true);
  choose(styles.find((each) => each.key === style.key));
}

function add(style, first = false) {
  const image = style.still ? element("img", { src: style.still, alt: "", loading: "lazy" }) : element("div", { class: "blank" });
  style.image = image;
  style.button = element("button", {
    type: "button", class: "style", "aria-pressed": "false", title: style.about, "data-style": style.key,
    onclick: () => { if (blend) toggle(style); else choose(style); },
  }, image, element("span", {}, style.title));
  if (first) { styles.unshift(style); grid.prepend(style.button); } else { styles.push(style); grid.append(style.button); }
}

function choose(style) {
  stopMask();
  chosen.splice(0, chosen.length, { style, weight: 1, mask: null, named: "" });
  draw();
  style.button.scrollIntoView?.({ block: "nearest" });
}

function toggle(style) {
  const at = chosen.findIndex((each) => each.style === style);
  if (at >= 0 && chosen.length > 1) chosen.splice(at, 1);
  else if (at < 0 && chosen.length < 8) chosen.push({ style, weight: 1, mask: null, named: "" });
  stopMask();
  draw();
}

function draw() {
  for (const style of styles) {
    style.button.setAttribute("aria-pressed", String(chosen.some((each) => each.style === style)));
  }
  const part = list.contains(document.activeElement) ? document.activeElement.dataset.part : null;
  list.replaceChildren(...chosen.map(row));
  if (part) list.querySelector(`[data-part="${CSS.escape(part)}"]`)?.focus();
  changed();
}

function row(each) {
  const name = each.style.title;
  const weight = chosen.length > 1 ? element("input", {
    type: "range", min: 0.1, max: 3, step: 0.1, value: each.weight, "aria-label": `Weight of ${name}`, "data-part": `weight ${each.style.key}`,
    oninput: (event) => { each.weight = Number(event.target.value); changed(); },
  }) : null;
  const mask = element("button", {
    type: "button", class: "small", "aria-pressed": String(masking === each), "data-mask": each.style.key, "data-part": `mask ${each.style.key}`,
    onclick: () => {
      if (masking === each) stopMask(); else startMask(each);
      draw();
    },
  }, masking === each ? "Hide mask" : each.mask || each.named ? "Show mask" : "Brush");
  return element("li", {}, element("span", {}, name), weight, where(each), mask);
}

// Where a style applies: everywhere, what is found in the photo, or what was brushed.
function where(each) {
  const name = each.style.title, isClass = each.named.startsWith("class:") || each.asksClass;
  const brushed = each.mask || (masking === each && !each.named);
  const now = brushed ? "brush" : isClass ? "class:" : each.named;
  const choices = [["", "Everywhere"], ["brush", "Brushed"], ...Object.entries(WHERE), ["class:", "A thing…"]];
  const choose = element("select", {
    "aria-label": `Where ${name} applies`, "data-part": `where ${each.style.key}`,
    onchange: () => {
      Object.assign(each, { mask: null, named: "", asksClass: choose.value === "class:" });
      if (masking === each) stopMask();
      if (choose.value === "brush") { startMask(each); draw(); } else if (each.asksClass) draw(); else find(each, choose.value);
    },
  }, ...choices.map(([value, text]) => element("option", { value, selected: value === now }, text)));
  if (!isClass || brushed) return choose;
  const thing = element("input", {
    type: "text", list: "classes", "aria-label": `Which thing for ${name}`, "data-part": `thing ${each.style.key}`, placeholder: "golden retriever",
    value: each.named.replace("class:", ""), onchange: () => thing.value.trim() && find(each, `class:${thing.value.trim()}`),
  });
  return element("div", { class: "thing" }, choose, thing);
}

// Has what a name stands for found in the photo, and shows it over it.
async function find(each, named) {
  each.named = named;
  if (!named) { draw(); return; }
  if (!photoId) { draw(); return; }
  say("Looking for it…");
  try {
    const found = await maskCanvas(await postForBlob("/api/mask", { photo: photoId, mask: named, slot: `${TAB}:mask` }));
    if (each.named !== named) return;
    startMask(each, found);
    say("");
  } catch (error) {
    if (each.named !== named || error.status === 409) return;
    each.named = "";
    if (masking === each) stopMask();
    say(error.message, true);
  }
  draw();
}

// Shows where a style applies; a stroke of the brush changes it, and makes it a brushed one.
function startMask(each, found) {
  if (!found && !each.mask && each.named) { find(each, each.named); return; }
  masking = each;
  startBrush(found || each.mask?.canvas, async (canvas) => {
    const known = await upload(await maskBlob(canvas), "mask.png");
    Object.assign(each, { mask: { canvas, id: known.id }, named: "", asksClass: false });
    draw();
  });
  window.dispatchEvent(new CustomEvent("masking", { detail: true }));
}

export function stopMask() {
  if (!masking) return;
  masking = null;
  stopBrush();
  window.dispatchEvent(new CustomEvent("masking", { detail: false }));
}

// Brushed masks belong to a photo and go with it; what has a name is found in the next one, too.
export function forgetMasks(id) {
  photoId = id;
  stopMask();
  for (const each of chosen) each.mask = null;
  draw();
}

// The chosen styles as the server takes them: those with a mask first.
export function askedStyles() {
  const told = chosen.map(({ style, weight, mask, named }) => ({
    ...(style.name ? { name: style.name } : { picture: style.picture }),
    ...(weight === 1 ? {} : { weight }), ...(mask || named ? { mask: mask?.id ?? named } : {}),
  }));
  return [...told.filter((each) => each.mask), ...told.filter((each) => !each.mask)];
}

export const canFast = () => chosen.every(({ style }) => style.trained);
export const canFine = () => chosen.every(({ style }) => style.source);

// A thumbnail of the photo in each trained style; a newer photo takes the place of an older one.
export async function paintThumbnails(photo) {
  aborted?.abort();
  const here = aborted = new AbortController();
  const one = async (style) => {
    const blob = await postForBlob("/api/preview", {
      command: "fast-stylize", photo: photo.id, slot: `${TAB}:${style.key}`, rank: 1,
      styles: [style.name ? { name: style.name } : { picture: style.picture }],
      settings: { size: 192, strength: 0.7, stroke: "pixels=0.75" },
    }, here.signal);
    if (here.signal.aborted) return;
    const image = element("img", { src: URL.createObjectURL(blob), alt: "" });
    image.onload = () => URL.revokeObjectURL(image.src);
    style.image.replaceWith(image);
    style.image = image;
    style.button.dataset.painted = photo.id;
  };
  const todo = styles.filter((style) => style.trained);
  const work = async () => { while (todo.length && !here.signal.aborted) await one(todo.shift()).catch(() => {}); };
  await Promise.all([work(), work()]);
}

export function stylesField(pickStyle) {
  const more = element("button", { type: "button", class: "style add", onclick: pickStyle }, "Any picture…");
  grid.querySelector(".add")?.remove();
  grid.append(more);
  const check = element("label", { class: "check" }, element("input", {
    type: "checkbox", checked: blend, onchange: (event) => {
      blend = event.target.checked;
      if (!blend && chosen.length > 1) choose(chosen[0].style);
    },
  }), "Blend several");
  return element("fieldset", {}, element("legend", {}, "Style"), grid, check, list);
}
