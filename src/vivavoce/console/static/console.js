// What every page has: the theme, keys, copying, forms that send themselves, and a word when the server is away.
const $ = (selector, within = document) => within.querySelector(selector);

export function remember(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/console; max-age=31536000; samesite=strict${location.protocol === "https:" ? "; secure" : ""}`;
}

// What went wrong stays until it is taken away: not everybody reads at the same pace.
export function toast(text, isProblem = false) {
  const note = document.createElement("p");
  note.textContent = text;
  $("#toasts").append(note);
  if (!isProblem) return void setTimeout(() => note.remove(), 4000);
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => note.remove());
  note.append(close);
  if ($("#toasts").children.length > 4) $("#toasts").firstChild.remove();
}

export async function copy(text) {
  if (!navigator.clipboard) return toast("Browsers copy for pages over HTTPS or of localhost only.", true);
  await navigator.clipboard.writeText(text);
  toast("Copied.");
}

// 1:05, or 1:00:05.
export function clock(seconds) {
  const [hours, minutes, rest] = [seconds / 3600, (seconds % 3600) / 60, seconds % 60].map(Math.floor);
  return `${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${String(rest).padStart(2, "0")}`;
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];

export function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
}

const theme = $("#theme");
theme?.addEventListener("click", () => {
  const themes = ["auto", "light", "dark"];
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
  document.documentElement.dataset.theme = theme.dataset.theme = next;
  theme.setAttribute("aria-label", `Theme: ${next}`);
  $("span", theme).textContent = `Theme: ${next}`;
  remember("vivavoce_theme", next);
  document.dispatchEvent(new Event("vivavoce:theme"));
});

$("#shortcuts")?.addEventListener("click", () => $("#help").showModal());

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
  // Empty fields would make a long address that says nothing.
  if (event.target.matches("[data-tidy]")) for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
window.addEventListener("pageshow", () => document.querySelectorAll("[data-tidy] :disabled").forEach((field) => { field.disabled = false; }));
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button.dataset.copy === "" ? location.href : new URL(button.dataset.copy, location.href).href);
  const text = event.target.closest("[data-copy-text]");
  if (text) copy(text.dataset.copyText);
  document.querySelectorAll("details.panel[open]").forEach((panel) => { if (!panel.contains(event.target)) panel.open = false; });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll("details.panel[open]").forEach((panel) => { panel.open = false; $("summary", panel).focus(); });
  if (!isTyping(event) && event.key === "?") $("#help").showModal();
  if (!isTyping(event) && event.key === "/" && $("input[type=search]")) { event.preventDefault(); $("input[type=search]").focus(); }
});

// The server may restart at any time: say so, and go on by oneself when it is back.
let isAway = false;
export async function away() {
  if (isAway) return;
  isAway = true;
  $("#away").hidden = false;
  for (;;) {
    await new Promise((done) => setTimeout(done, 1000));
    const reply = await fetch("/healthz").catch(() => null);
    if (reply?.ok) break;
  }
  isAway = false;
  $("#away").hidden = true;
  document.dispatchEvent(new Event("vivavoce:back"));
}
document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.requestConfig.verb !== "get") toast("The server cannot be reached, so this was not saved. Save it again when it is back.", true);
  away();
});
document.addEventListener("htmx:responseError", (event) => {
  const { status, response } = event.detail.xhr;
  if (status >= 502) return away();
  const text = new DOMParser().parseFromString(response, "text/html").body.textContent.trim();
  toast(text.slice(0, 300) || `The server answered ${status}.`, true);
});
