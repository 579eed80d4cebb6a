// What is said of a turn: with the mouse, or from the keyboard.
export const MARKS = ["good_response", "bad_response", "wrong_info", "wrong_transcript", "missing_topic", "other"];
const dialog = document.getElementById("mark");
let turn = null;
let selected = "";

function send(place, action, values) {
  return window.htmx.ajax("POST", `${place.dataset.here}/${action}`, { values: { turn: place.dataset.turn, ...values }, target: `#${place.id}`, swap: "outerHTML", source: place });
}

export function mark(place, kind) {
  if (!place?.querySelector("[data-mark]") || (place.dataset.turn === "0" && ["wrong_transcript", "missing_topic"].includes(kind))) return;
  send(place, "annotations", { type: kind });
}

export function open(place) {
  if (!dialog || !place?.querySelector("[data-mark]")) return;
  turn = place;
  document.getElementById("mark-form").reset();
  dialog.querySelector("[data-turn-number]").textContent = place.dataset.turn;
  for (const label of dialog.querySelectorAll("[data-role=user]")) label.hidden = place.dataset.turn === "0";
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
dialog?.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const values = Object.fromEntries(fields);
  if (fields.has("reasons")) values.reasons = fields.getAll("reasons");
  dialog.close();
  send(turn, event.target.id === "hide-form" ? "hide" : "annotations", values);
});
dialog?.addEventListener("keydown", (event) => {
  const kind = MARKS[Number(event.key) - 1];
  if (!kind || event.target.matches("input:not([type=radio]):not([type=checkbox])")) return;
  const box = dialog.querySelector(`input[value=${kind}]`);
  if (!box.closest("label").hidden) box.checked = true;
});
