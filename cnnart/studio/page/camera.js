// The camera: frames through the fast pass, at the rate that the machine gives.

import { paintFrame } from "./api.js";
import { badge, say, showAfter } from "./stage.js";

const SIDE = 480;  // pixels: the long side of a frame
const video = document.getElementById("video");
const canvas = document.createElement("canvas");
let stream = null, recording = false;

export const isOn = () => stream !== null;

const grab = (quality) => new Promise((resolve) => {
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  canvas.toBlob(resolve, "image/jpeg", quality);
});

// `query` gives what each frame is painted with, or null: then the camera is shown as it is.
export async function start(query, show) {
  if (!navigator.mediaDevices) throw new Error("This browser gives no camera to this page.");
  stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  video.srcObject = stream;
  await video.play();
  show(URL.createObjectURL(await grab(0.9)));
  const times = [];
  while (stream) {
    const wanted = recording ? null : query();  // painting would take frames from the clip
    const began = performance.now();
    try {
      const frame = await grab(0.85);
      if (!stream) break;
      if (wanted === null) { await showAfter(frame); await new Promise(requestAnimationFrame); } else {
        const painted = await paintFrame(frame, wanted);
        if (stream) await showAfter(painted);
      }
    } catch (error) {
      say(error.message, true);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    times.push(performance.now() - began);
    if (times.length > 12) times.shift();
    const mean = times.reduce((sum, each) => sum + each, 0) / times.length;
    if (!recording) badge(`${(1000 / mean).toFixed(1)} frames a second`);
  }
  badge("");
}

export function stop() {
  for (const track of stream?.getTracks() || []) track.stop();
  stream = null;
  video.srcObject = null;
  badge("");
}

// Some seconds of what the camera sees, as the browser encodes them; `tell` gets the seconds left.
export async function record(seconds, tell) {
  const kinds = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
  const kind = kinds.find((each) => window.MediaRecorder?.isTypeSupported(each));
  if (!kind) throw new Error("This browser records no clips.");
  const recorder = new MediaRecorder(stream, { mimeType: kind, videoBitsPerSecond: 8e6 });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recording = true;
  const ended = new Promise((resolve, reject) => { recorder.onstop = resolve; recorder.onerror = (event) => reject(event.error); });
  tell(seconds);
  const begun = new Promise((resolve) => { recorder.onstart = resolve; });
  recorder.start();
  await Promise.race([begun, ended]);
  const began = performance.now();
  const clock = setInterval(() => {
    const left = seconds - (performance.now() - began) / 1000;
    tell(Math.ceil(left));
    if (left < -0.2 && recorder.state === "recording") recorder.stop();
  }, 200);
  try { await ended; } finally { clearInterval(clock); recording = false; }
  const type = kind.split(";")[0];
  return new File(parts, `camera.${type.endsWith("mp4") ? "mp4" : "webm"}`, { type });
}

// What the camera sees, at its full size.
export function snapshot() {
  const full = document.createElement("canvas");
  full.width = video.videoWidth;
  full.height = video.videoHeight;
  full.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => full.toBlob(resolve, "image/jpeg", 0.95));
}
