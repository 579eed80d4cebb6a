// A conversation under review: layers, the chosen turn, marks by number, and the sound with its waveform.
import { copy, isTyping, remember, toast } from "./console.js";
import { MARKS, mark, open } from "./marks.js";

const transcript = document.getElementById("transcript");
const turns = () => [...transcript.querySelectorAll(".turn")];
const chosen = () => transcript.querySelector(".turn.chosen");

function choose(turn, how = "nearest") {
  if (!turn) return;
  chosen()?.classList.remove("chosen");
  turn.classList.add("chosen");
  turn.focus({ preventScroll: true });
  turn.scrollIntoView({ block: how });
}

document.getElementById("layers").addEventListener("change", () => {
  const shown = [...document.querySelectorAll("#layers input:checked")].map((box) => box.value).join(" ");
  transcript.dataset.layers = shown;
  remember("vivavoce_layers", shown);
});

transcript.addEventListener("click", (event) => {
  const turn = event.target.closest(".turn");
  if (!turn) return;
  if (event.target.closest("[data-play]") || event.target.closest(".bubble")) {
    if (!getSelection().toString()) player?.playTurn(turn);
  }
  if (event.target.closest("[data-mark]") || !event.target.closest("a, button, input, summary, label, select")) {
    chosen()?.classList.remove("chosen");
    turn.classList.add("chosen");
  }
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const all = turns();
  const at = all.indexOf(chosen() ?? transcript.querySelector(".turn.playing"));
  const number = Number(event.key);
  if (event.key === "j" || event.key === "k") choose(all[Math.max(0, Math.min(all.length - 1, at + (event.key === "j" ? 1 : -1)))]);
  else if (number >= 1 && number <= MARKS.length) chosen() ? mark(chosen(), MARKS[number - 1]) : toast("Choose a turn first, with j and k.");
  else if (event.key === " " && player && !event.target.closest("button, summary, a")) { event.preventDefault(); player.toggle(); }
  else if (event.key === "Enter" && chosen() && event.target === chosen()) player?.playTurn(chosen());
  else if (event.key === "m") { event.preventDefault(); open(chosen()); }
  else if (event.key === "n") { event.preventDefault(); document.querySelector("[name=note]")?.focus(); }
  else if (event.key === "c" && chosen()) copy(new URL(chosen().querySelector("[data-copy]").dataset.copy, location.href).href);
});

// Turns that came later, or in place of themselves.
for (const name of ["vivavoce:turn", "htmx:afterSettle"]) document.addEventListener(name, () => player?.found());

let player = null;
const wanted = transcript.dataset.wanted ?? location.hash.match(/^#turn-(\d+)$/)?.[1];
if (wanted !== undefined) choose(document.getElementById(`turn-${wanted}`), "center");

const wave = document.querySelector(".wave");
if (wave) {
  const { Player } = await import("./player.js");
  player = await Player.make(wave, turns).catch(() => null);
  if (!player) document.getElementById("sound-problem").textContent = "The recording cannot be played yet; load the page again in a while.";
}

// Back to the list as it was.
const list = document.getElementById("list");
const query = sessionStorage.getItem(`vivavoce:${list.getAttribute("href")}`);
if (query) list.setAttribute("href", list.getAttribute("href") + query);
