// The queue, what is told of the painting under way, and the strip of results.

import { fileAddress, getJson, pictureAddress, postJson } from "./api.js";
import { duration, element, gigabytes } from "./controls.js";
import { say, showAfter, showTiles } from "./stage.js";

const at = (id) => document.getElementById(id);
const cards = new Map();  // by the job's id
let followed = null;      // the job that the stage shows
let handlers = {};
let history = {};         // losses of the job that is shown, by name

export async function startJobs(facts, given) {
  handlers = given;
  for (const job of facts.earlier) { card(job); finish(job); }
  for (const job of await getJson("/api/jobs")) { card(job); if (job.result) finish(job); }
  const source = new EventSource(`/api/events?after=${facts.last_event}`);
  for (const kind of ["queued", "start", "first_look", "predicted", "step", "warning", "preview", "failed", "ended"]) {
    source.addEventListener(kind, (event) => told(JSON.parse(event.data)));
  }
  source.onerror = () => say("cnnart does not answer at the moment.", true);
  source.onopen = () => { if (at("status").textContent.startsWith("cnnart does not")) say(""); };
}

// Shows a new job on the stage.
export function follow(job, tiled) {
  followed = { id: job.id, tiled };
  history = {};
  at("losses").replaceChildren();
  at("job-bar").removeAttribute("value");
  at("job-title").textContent = title(job);
  at("job-time").textContent = "waiting for its turn";
  at("progress").hidden = false;
}

const title = (job) => `${job.command} · ${job.label}`;

function told(event) {
  if (event.event === "queued") { card(event); return; }
  const known = cards.get(event.job);
  if (!known) return;
  const shown = followed?.id === event.job;
  if (event.event === "start") {
    setState(known, "running");
    known.predicted = null;
    if (shown) {
      const memory = event.memory ? `, ${gigabytes(event.memory)}` : "";
      at("job-time").textContent = `${event.size.join(" × ")} px${memory}, on ${event.device_reason}`;
    }
  } else if (event.event === "predicted" && shown) {
    at("job-time").textContent += ` · about ${duration(event.seconds)}`;
  } else if (event.event === "step") {
    const left = event.seconds_left === null ? "" : `${duration(event.seconds_left)} left`;
    known.bar.value = event.step / event.steps;
    known.state.textContent = left || "painting";
    if (shown) {
      at("job-bar").value = event.step / event.steps;
      at("job-time").textContent = `step ${event.step} of ${event.steps} at ${event.scale.join(" × ")} px · ${left}`;
      showLosses(event.losses);
    }
  } else if (event.event === "preview" || event.event === "first_look") {
    if (shown) show(`/api/jobs/${event.job}/preview?${Date.now()}`);
  } else if (event.event === "warning" && shown) {
    say(event.message);
  } else if (event.event === "ended") {
    finish(event);
  }
}

function show(address) {
  if (followed.tiled) showTiles(address); else showAfter(address);
}

function finish(job) {
  const known = cards.get(job.id) || card(job);
  known.job = job;
  setState(known, job.state);
  known.off.hidden = true;
  if (job.result) known.picture.replaceWith(
    known.picture = element("img", { src: pictureAddress(job.result.id, 320), alt: "", loading: "lazy" }));
  if (job.state === "dropped") { known.item.remove(); cards.delete(job.id); }
  if (followed?.id === job.id) {
    at("progress").hidden = true;
    if (job.result) show(job.result.seconds === undefined ? fileAddress(job.result.id) : pictureAddress(job.result.id, 640));
    const why = job.latest?.failed?.error;
    say(why ? why.replaceAll("`", "") : `${job.state === "stopped" ? "Stopped; kept" : "Done"}: ${job.result?.name ?? ""}`, Boolean(why));
    handlers.ended?.(job);
    followed = null;
  }
}

const STATES = { queued: "in the queue", running: "painting", done: "done", stopped: "stopped", failed: "failed" };

function setState(known, state) {
  known.item.className = state;
  known.state.textContent = STATES[state] || state;
  known.bar.hidden = state !== "running";
}

function card(job) {
  if (cards.has(job.id)) return cards.get(job.id);
  const known = { job, picture: element("div", { class: "blank" }), state: element("span", { class: "state" }), bar: element("progress", { max: 1, value: 0, "aria-label": "Progress" }) };
  const open = element("button", { class: "card", onclick: () => details(known.job) },
    known.picture, known.bar, element("span", {}, title(job)), known.state);
  known.off = element("button", { class: "small off", "aria-label": `Stop ${title(job)}`, onclick: () => stop(job.id) }, "Stop");
  known.item = element("li", {}, open, known.off);
  cards.set(job.id, known);
  at("results").prepend(known.item);
  setState(known, job.state);
  if (job.state !== "queued" && job.state !== "running") known.off.hidden = true;
  return known;
}

export async function stop(id) {
  try { await postJson(`/api/jobs/${id}/stop`, {}); } catch (error) { say(error.message, true); }
}
at("stop").addEventListener("click", () => { if (followed) { say("Stopping after this step…"); stop(followed.id); } });

// Each loss by name, with its number and its way so far (on a logarithmic scale).
function showLosses(losses) {
  for (const [name, value] of Object.entries(losses)) {
    if (value === null) continue;
    const way = (history[name] ||= []);
    way.push(Math.log(Math.max(value, 1e-9)));
    if (way.length > 200) way.splice(0, way.length, ...way.filter((_, i) => i % 2));
    let row = at(`loss-${name}`);
    if (!row) {
      row = element("div", { id: `loss-${name}` }, element("dt", {}, name), element("dd", {}));
      row.insertAdjacentHTML("beforeend", '<svg viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true"><path/></svg>');
      at("losses").append(row);
    }
    row.querySelector("dd").textContent = value.toPrecision(3);
    const low = Math.min(...way), high = Math.max(...way, low + 1e-6);
    const points = way.map((each, i) => `${(100 * i / Math.max(1, way.length - 1)).toFixed(1)},${(26 - 24 * (each - low) / (high - low)).toFixed(1)}`);
    row.querySelector("path").setAttribute("d", `M${points.join("L")}`);
  }
}

let opened = null;

function details(job) {
  opened = job;
  at("details-title").textContent = `${title(job)} (${STATES[job.state] || job.state})`;
  const isClip = job.result?.seconds !== undefined;
  at("details-picture").hidden = !job.result || isClip;
  at("details-clip").hidden = !isClip;
  if (isClip) at("details-clip").src = fileAddress(job.result.id); else at("details-clip").removeAttribute("src");
  if (job.result) {
    if (!isClip) at("details-picture").src = fileAddress(job.result.id);
    at("details-picture").alt = `The result: ${job.result.name}, ${job.result.width} by ${job.result.height} pixels`;
    at("details-download").href = fileAddress(job.result.id);
    at("details-download").setAttribute("download", job.result.name);
  }
  at("details-download").hidden = !job.result;
  for (const id of ["details-photo", "details-style"]) at(id).hidden = !job.result || isClip;
  at("details-line").textContent = job.command_line;
  at("details").showModal();
}
at("details-close").addEventListener("click", () => at("details").close());
at("details").addEventListener("close", () => at("details-clip").pause());
at("details-copy").addEventListener("click", () => copy(at("details-line"), at("details-copy")));
for (const kind of ["photo", "style"]) {
  at(`details-${kind}`).addEventListener("click", () => { at("details").close(); handlers[kind]?.(opened.result); });
}

// Copies a line; where the browser does not let us, it is selected.
export async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}
