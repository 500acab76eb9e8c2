// Text that came from logs, made safe to show and to copy, and elements made without markup.

// What goes wrong anywhere is said in the page.
addEventListener("error", (event) => {
  const box = document.getElementById("failed");
  box.hidden = false;
  box.textContent = `This page could not be drawn in full: ${visible(event.message)}. ` +
    "The same is in Parquet beside this file, in reports/ and tables/.";
});

// Controls, what steers direction, what has no width, blanks that look like a space, and what fonts leave empty.
const STEERS =
  "[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000" +
  "\\u2800\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u3164\\uffa0\\ufe00-\\ufe0f\\u{e0100}-\\u{e01ef}]" +
  "|(?<=\\p{M}{2})\\p{M}";
const steers = new RegExp(STEERS, "u");
const allSteers = new RegExp(STEERS, "gu");
const pieces = new RegExp(`(${STEERS})`, "gu");
const plain = /^[\x20-\x7e]*$/;

const escaped = (c) =>
  ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[c] || `\\u{${c.codePointAt(0).toString(16)}}`;

// The text with everything that could steer a reader's eye escaped: `\u{202e}`.
function visible(text) {
  const all = String(text);
  return plain.test(all) ? all : all.replace(allSteers, escaped);
}

// The same for a text of several lines that this page put together.
const visibleLines = (text) => text.split("\n").map(visible).join("\n");

function clip(text, most) {
  const all = String(text);
  if (all.length <= most) return all;
  // Not in the middle of a pair of surrogates.
  const end = /[\ud800-\udbff]$/.test(all.slice(0, most)) ? most - 1 : most;
  return `${all.slice(0, end)}…`;
}

// Shows a text in a node; what was escaped is marked, so that it cannot be mistaken for a text that reads so.
function put(node, text) {
  const all = String(text);
  if (plain.test(all) || !steers.test(all)) {
    node.append(all);
    return node;
  }
  all.split(pieces).forEach((piece, at) => {
    if (at % 2 === 0) {
      if (piece) node.append(piece);
    } else {
      const mark = document.createElement("span");
      mark.className = "esc";
      mark.textContent = escaped(piece);
      node.append(mark);
    }
  });
  return node;
}

// `el("td.num", {title: …, onclick: …}, "text", node)`: text is shown by `put`, attributes are made visible.
function el(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  return fill(dress(document.createElement(tag), classes, attributes), children);
}

function dress(node, classes, attributes) {
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : visible(value));
  }
  return node;
}

function fill(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) node.append(child);
    else put(node, child);
  }
  return node;
}

const byId = (id) => document.getElementById(id);
const replace = (node, ...children) => {
  node.replaceChildren();
  return fill(node, children);
};
const hiddenText = (text) => el("span.vh", null, text);
const glyph = (mark, kind) => el(`span.glyph${kind ? `.${kind}` : ""}`, { "aria-hidden": "true" }, mark);

const number = (n) => (n === null || n === undefined ? "–" : Number(n).toLocaleString("en-US"));
const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || `${one}s`}`;

function compact(n) {
  if (n < 1000) return String(n);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return `${(n / size).toFixed(n / size < 10 ? 1 : 0).replace(/\.0$/, "")}${unit}`;
  }
  return String(n);
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const time = (text) => {
  const at = RFC3339.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at;
};
const day = (text) => {
  const at = time(text);
  return at === null ? text || "–" : new Date(at).toISOString().slice(0, 10);
};
// `2026-11-23 09:10 UTC`; what is no date is shown as it is.
const moment = (text) => {
  const at = time(text);
  if (at === null) return text || "–";
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
};

// Asks the browser to copy; where it may not, an old way; where that fails too, the text is shown selected.
async function copy(text, what) {
  const safe = visibleLines(text);
  let done = false;
  try {
    await navigator.clipboard.writeText(safe);
    done = true;
  } catch {
    done = copyByCommand(safe);
  }
  say(done ? `Copied ${what}` : `The browser does not let this page copy ${what}: select it by hand`);
}

function copyByCommand(text) {
  const area = el("textarea.off", { "aria-hidden": "true", tabindex: "-1" });
  area.value = text;
  const home = document.querySelector("dialog[open]") || document.body;
  const before = document.activeElement;
  home.append(area);
  area.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    done = false;
  }
  area.remove();
  if (before && before.focus) before.focus();
  return done;
}

// `text` is asked for when the button is pressed.
const copyButton = (label, what, text) =>
  el("button.copy", { type: "button", onclick: () => copy(text(), what), "aria-label": `${label}: ${what}` }, label);

const saidBox = byId("said");
let saidLast = 0;
function say(text) {
  const open = document.querySelector("dialog[open]");
  // A modal dialog makes everything outside inert: what is said must be inside.
  (open || document.body).append(saidBox);
  replace(saidBox, text);
  saidBox.classList.add("on");
  clearTimeout(saidLast);
  saidLast = setTimeout(() => saidBox.classList.remove("on"), 2500);
}
