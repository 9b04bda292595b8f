// The large picture: before and after, 1:1, tiles, and the brush that paints a mask on it.

const at = (id) => document.getElementById(id);
const [view, frame, before, after, divider, brush, tiles] =
  ["view", "frame", "before", "after", "divider", "brush", "tiles"].map(at);
let shown = null;  // an address of a blob, to be let go
let photo = null;  // the address of the photo

before.addEventListener("load", () => {
  frame.style.setProperty("--ratio", before.naturalWidth / before.naturalHeight);
});

export function showPhoto(address) {
  photo = address;
  hideAfter();
  before.src = address;
  view.classList.remove("empty");
  at("hint").hidden = true;
  frame.hidden = false;
}

export function showAfter(source) {
  const old = shown;
  const address = source instanceof Blob ? URL.createObjectURL(source) : source;
  shown = source instanceof Blob ? address : null;
  return new Promise((resolve) => {
    after.onload = after.onerror = () => { if (old) URL.revokeObjectURL(old); resolve(); };
    after.src = address;
    after.hidden = divider.hidden = false;
    frame.dataset.painted = String(Number(frame.dataset.painted || 0) + 1);
  });
}

export function hideAfter() {
  after.hidden = divider.hidden = true;
  tiles.hidden = true;
  before.hidden = false;
  if (photo && before.getAttribute("src") !== photo) before.src = photo;
  if (shown) { URL.revokeObjectURL(shown); shown = null; }
}

// A picture that does not lie over the photo, in its place.
export function showAlone(blob) {
  hideAfter();
  before.src = shown = URL.createObjectURL(blob);
  frame.dataset.painted = String(Number(frame.dataset.painted || 0) + 1);
}

export function showTiles(address) {
  tiles.style.backgroundImage = `url("${address}")`;
  tiles.hidden = false;
  before.hidden = after.hidden = divider.hidden = true;
}

function cut(percent) { frame.style.setProperty("--cut", `${percent}%`); }
at("compare").addEventListener("input", (event) => cut(event.target.value));
cut(50);
frame.addEventListener("pointerdown", (event) => {
  if (after.hidden || !brush.hidden) return;
  const move = (moved) => {
    const box = frame.getBoundingClientRect();
    const percent = Math.min(100, Math.max(0, 100 * (moved.clientX - box.left) / box.width));
    at("compare").value = percent;
    cut(percent);
  };
  move(event);
  event.preventDefault();
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", () => window.removeEventListener("pointermove", move), { once: true });
});

at("zoom").addEventListener("click", () => {
  const real = at("zoom").getAttribute("aria-pressed") !== "true";
  at("zoom").setAttribute("aria-pressed", String(real));
  view.classList.toggle("real", real);
  window.dispatchEvent(new CustomEvent("zoomed", { detail: real }));
});
export const isReal = () => view.classList.contains("real");

export function badge(text) {
  at("badge").textContent = text || "";
  at("badge").hidden = !text;
}

export function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
}

// The brush. The mask is white on black, as cnnart takes it; on the screen it is red on the photo.

const paint = brush.getContext("2d", { willReadFrequently: true });
let onStroke = null, soft = 0.6, radius = 0.08, erases = false;

export function setBrush({ softness, size, erase }) {
  if (softness !== undefined) soft = softness;
  if (size !== undefined) radius = size;
  if (erase !== undefined) erases = erase;
}

// `mask`: a canvas as this function made it before, or null. `changed` gets the canvas.
export function startBrush(mask, changed) {
  const width = before.naturalWidth, height = before.naturalHeight;
  const scale = Math.min(1, 640 / Math.max(width, height));
  brush.width = Math.round(width * scale);
  brush.height = Math.round(height * scale);
  paint.clearRect(0, 0, brush.width, brush.height);
  if (mask) paint.drawImage(mask, 0, 0, brush.width, brush.height);
  brush.hidden = false;
  onStroke = changed;
}

export function stopBrush() { brush.hidden = true; onStroke = null; }

function dab(event) {
  const box = brush.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * brush.width;
  const y = (event.clientY - box.top) / box.height * brush.height;
  const r = radius * Math.max(brush.width, brush.height);
  const color = paint.createRadialGradient(x, y, r * (1 - soft), x, y, r);
  color.addColorStop(0, "rgba(220, 40, 30, 1)");
  color.addColorStop(1, "rgba(220, 40, 30, 0)");
  paint.globalCompositeOperation = erases ? "destination-out" : "source-over";
  paint.fillStyle = color;
  paint.fillRect(x - r, y - r, 2 * r, 2 * r);
}

brush.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  brush.setPointerCapture(event.pointerId);
  dab(event);
  brush.onpointermove = (moved) => { for (const each of moved.getCoalescedEvents?.() || [moved]) dab(each); };
  brush.onpointerup = brush.onpointercancel = () => {
    brush.onpointermove = brush.onpointerup = brush.onpointercancel = null;
    const copy = document.createElement("canvas");
    copy.width = brush.width; copy.height = brush.height;
    copy.getContext("2d").drawImage(brush, 0, 0);
    onStroke?.(copy);
  };
});

// A drawn mask as a PNG: how much was painted, in gray.
export function maskBlob(canvas) {
  const made = document.createElement("canvas");
  made.width = canvas.width; made.height = canvas.height;
  const context = made.getContext("2d");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const covered = pixels.data[i + 3];
    pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = covered;
    pixels.data[i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return new Promise((resolve) => made.toBlob(resolve, "image/png"));
}

// The other way around: a mask in gray as it is drawn over the photo.
export async function maskCanvas(blob) {
  const image = await createImageBitmap(blob);
  const made = document.createElement("canvas");
  made.width = image.width; made.height = image.height;
  const context = made.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, made.width, made.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    pixels.data[i + 3] = pixels.data[i];
    pixels.data[i] = 220; pixels.data[i + 1] = 40; pixels.data[i + 2] = 30;
  }
  context.putImageData(pixels, 0, 0);
  return made;
}
