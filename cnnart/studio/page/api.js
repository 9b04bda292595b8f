// Requests to the server that this page came from.

export class ServerError extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function checked(answer) {
  if (answer.ok) return answer;
  let why = `The server answered ${answer.status}.`;
  try { why = (await answer.json()).error || why; } catch { /* not JSON: the number has to do */ }
  throw new ServerError(answer.status, why.replaceAll("`", ""));
}

async function ask(path, options = {}) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof ServerError || error.name === "AbortError") throw error;
    throw new ServerError(0, "cnnart does not answer: is it still running?");
  }
}

const post = (path, body, signal) => ask(path, {
  method: "POST", body: JSON.stringify(body), signal, headers: { "Content-Type": "application/json" },
});

export const getJson = async (path) => (await ask(path)).json();
export const postJson = async (path, body, signal) => (await post(path, body, signal)).json();
export const postForBlob = async (path, body, signal) => (await post(path, body, signal)).blob();

export async function upload(blob, name, to = "pictures") {
  const answer = await ask(`/api/${to}?name=${encodeURIComponent(name)}`, { method: "POST", body: blob });
  return answer.json();
}

// A folder to search, and one more picture of it.
export async function newFolder(name, recursive) {
  return (await ask(`/api/folders?${new URLSearchParams({ name, recursive: Number(recursive) })}`, { method: "POST" })).json();
}
export async function toFolder(folder, file) {
  return (await ask(`/api/folders/${folder.id}/pictures?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file })).json();
}

// A frame of the camera in, its painting out.
export async function paintFrame(blob, query) {
  const answer = await ask(`/api/fast-stylize?${query}`, { method: "POST", body: blob });
  return answer.blob();
}

export const pictureAddress = (id, size) => `/api/pictures/${id}?size=${size}`;
export const fileAddress = (id) => `/api/pictures/${id}/file`;

// Names this tab, so that its newer previews take the place of its older ones.
export const TAB = Math.random().toString(36).slice(2, 10);

// At most one request at a time; of what is asked meanwhile, only the latest follows.
export function latestOnly(work) {
  let running = false, next = null;
  return async function run(...given) {
    if (running) { next = given; return; }
    running = true;
    try { await work(...given); } finally {
      running = false;
      if (next) { const again = next; next = null; run(...again); }
    }
  };
}
