// The form's parts: each makes an element and tells of a change.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

let count = 0;

export function slider(label, setting, value, change, { ends, step = 0.01 } = {}) {
  const id = `slider-${++count}`;
  const output = element("output", { for: id }, Number(value).toFixed(2));
  const input = element("input", {
    type: "range", id, min: setting.low ?? 0, max: setting.high ?? 1, step, value, title: setting.help,
    oninput: () => { output.textContent = Number(input.value).toFixed(2); change(Number(input.value)); },
  });
  const low = ends ? element("div", { class: "ends", "aria-hidden": "true" },
    element("span", {}, ends[0]), element("span", {}, ends[1])) : null;
  return element("div", {}, element("label", { class: "label", for: id }, label, output), input, low);
}

export function segments(label, choices, value, change) {
  const name = `segments-${++count}`;
  const parts = choices.map(([key, text, off]) => element("label", {},
    element("input", {
      type: "radio", name, value: key, checked: key === value, disabled: Boolean(off),
      onchange: () => change(key),
    }), text));
  return element("fieldset", {}, element("legend", {}, label), element("div", { class: "segments" }, ...parts));
}

export function select(label, choices, value, change) {
  const id = `select-${++count}`;
  const input = element("select", { id, onchange: () => change(input.value) },
    ...choices.map(([key, text]) => element("option", { value: key, selected: key === value }, text)));
  return element("div", {}, element("label", { class: "label", for: id }, label), input);
}

// A size as the command line takes it: the long side, WxH, or one for print.
export function size(value, change, usual = "the photo's own") {
  const id = `size-${++count}`;
  const input = element("input", {
    type: "text", id, value, list: "sizes", placeholder: usual, spellcheck: "false",
    oninput: () => change(input.value.trim()),
  });
  const list = element("datalist", { id: "sizes" },
    ...["512", "1024", "2048", "1920x1080", "A4", "24MP"].map((each) => element("option", { value: each })));
  return element("div", {}, element("label", { class: "label", for: id }, "Size"), input, list);
}

export function readSize(text) {
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const sides = text.match(/^(\d+)\s*[x×]\s*(\d+)$/);
  return sides ? [Number(sides[2]), Number(sides[1])] : text;
}

export const gigabytes = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GB`;

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
