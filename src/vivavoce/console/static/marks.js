// What is said of a turn: with the mouse, or from the keyboard.
import { csrf, toast } from "./console.js";

const dialog = document.getElementById("mark");
const problem = dialog.querySelector("[data-problem]");
const boxes = [...dialog.querySelectorAll("[data-role]")]; // in the order of the keys
export const MARKS = boxes.map((label) => label.querySelector("input").value);
const fits = (place, kind) => place.dataset.turn !== "0" || boxes[MARKS.indexOf(kind)].dataset.role === "agent"; // in the greeting the user says nothing
let turn = null;
let selected = "";

// Puts the turn as it is now in place of itself; false, with the reason told, when it was not done.
async function send(place, address, values) {
  const body = new URLSearchParams([...values]);
  body.set("turn", place.dataset.turn);
  const reply = await fetch(address, { method: "POST", body, headers: { "X-CSRF-Token": csrf(), "HX-Request": "true" } }).catch(() => null);
  if (!reply) return told("The server cannot be reached; it was not done.");
  const elsewhere = reply.headers.get("HX-Redirect"); // to sign in again
  if (elsewhere) return void location.assign(elsewhere);
  const found = new DOMParser().parseFromString(await reply.text(), "text/html").body;
  if (!reply.ok) return told(found.textContent.trim() || `The server answered ${reply.status}.`);
  const turn = found.querySelector(".turn");
  if (turn) {
    if (place.classList.contains("chosen")) turn.classList.add("chosen");
    const had = place.contains(document.activeElement) || document.activeElement === document.body;
    place.replaceWith(turn);
    window.htmx.process(turn);
    if (had) turn.focus({ preventScroll: true });
    document.dispatchEvent(new Event("vivavoce:turn"));
  }
  return true;
}

function told(message) {
  if (!dialog.open) return void toast(message, true);
  problem.textContent = message;
  problem.hidden = false;
  return false;
}

export function mark(place, kind) {
  if (place?.querySelector("[data-mark]") && fits(place, kind)) send(place, `${place.dataset.here}/annotations`, [["type", kind]]);
}

export function open(place) {
  if (!place?.querySelector("[data-mark]")) return;
  turn = place;
  document.getElementById("mark-form").reset();
  dialog.querySelector("[data-turn-number]").textContent = place.dataset.turn;
  boxes.forEach((label, n) => { label.hidden = !fits(place, MARKS[n]); });
  const words = dialog.querySelector("[name=words]");
  if (words) words.value = selected;
  problem.hidden = true;
  dialog.querySelector("[data-quote]").textContent = [...turn.querySelectorAll(".words")].map((part) => part.textContent.trim()).join(" → ").slice(0, 240);
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-mark]")) open(event.target.closest(".turn"));
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
});
// Words that are selected in a turn are what is to be hidden.
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  if (selection.anchorNode?.parentElement?.closest(".words")) selected = selection.toString().trim().slice(0, 500);
});
dialog.addEventListener("submit", async (event) => {
  event.preventDefault();
  const isHiding = event.target.id === "hide-form";
  if (!await send(turn, `${turn.dataset.here}/${isHiding ? "hide" : "annotations"}`, new FormData(event.target))) return;
  dialog.close();
  if (isHiding) toast("Hidden. “Show redacted” shows it as others see it.");
});
// Marks are taken back, and hidden words shown again, by forms that work without this script, too.
document.addEventListener("submit", (event) => {
  if (!event.target.closest(".marks")) return;
  event.preventDefault();
  send(event.target.closest(".turn"), event.target.action, new FormData(event.target));
});
dialog.addEventListener("keydown", (event) => {
  const kind = MARKS[Number(event.key) - 1];
  if (!kind || event.target.matches("input:not([type=radio]):not([type=checkbox])")) return;
  const box = dialog.querySelector(`input[value=${kind}]`);
  if (!box.closest("label").hidden) box.checked = true;
});
