// What is said of a turn: with the mouse, or from the keyboard.
const dialog = document.getElementById("mark");
const boxes = [...dialog.querySelectorAll("[data-role]")]; // in the order of the keys
export const MARKS = boxes.map((label) => label.querySelector("input").value);
const fits = (place, kind) => place.dataset.turn !== "0" || boxes[MARKS.indexOf(kind)].dataset.role === "agent"; // in the greeting the user says nothing
let turn = null;
let selected = "";

function send(place, action, values) {
  return window.htmx.ajax("POST", `${place.dataset.here}/${action}`, { values: { turn: place.dataset.turn, ...values }, target: `#${place.id}`, swap: "outerHTML", source: place });
}

export function mark(place, kind) {
  if (place?.querySelector("[data-mark]") && fits(place, kind)) send(place, "annotations", { type: kind });
}

export function open(place) {
  if (!place?.querySelector("[data-mark]")) return;
  turn = place;
  document.getElementById("mark-form").reset();
  dialog.querySelector("[data-turn-number]").textContent = place.dataset.turn;
  boxes.forEach((label, n) => { label.hidden = !fits(place, MARKS[n]); });
  const words = dialog.querySelector("[name=words]");
  if (words) words.value = selected;
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
dialog.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const values = Object.fromEntries(fields);
  if (fields.has("reasons")) values.reasons = fields.getAll("reasons");
  dialog.close();
  send(turn, event.target.id === "hide-form" ? "hide" : "annotations", values);
});
dialog.addEventListener("keydown", (event) => {
  const kind = MARKS[Number(event.key) - 1];
  if (!kind || event.target.matches("input:not([type=radio]):not([type=checkbox])")) return;
  const box = dialog.querySelector(`input[value=${kind}]`);
  if (!box.closest("label").hidden) box.checked = true;
});
