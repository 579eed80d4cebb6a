// The list from the keyboard.
import { clock, isTyping } from "./console.js";

sessionStorage.setItem(`vivavoce:${location.pathname}`, location.search); // the way back from a conversation

// A row that was chosen stays so when the list comes anew; htmx keeps the focus where an id comes again.
let chosen = null;
document.addEventListener("htmx:beforeSwap", () => { chosen = document.querySelector("tr.chosen .row-link")?.id; });
document.addEventListener("htmx:afterSettle", () => { if (chosen) document.getElementById(chosen)?.closest("tr").classList.add("chosen"); });

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const rows = [...document.querySelectorAll("#table tbody tr")];
  const at = rows.findIndex((row) => row.classList.contains("chosen"));
  if (event.key === "j" || event.key === "k") {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)))];
    rows[at]?.classList.remove("chosen");
    next?.classList.add("chosen");
    next?.querySelector("a").focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
  }
});

// How long a call has gone on by now.
setInterval(() => {
  for (const cell of document.querySelectorAll("[data-since]")) {
    cell.textContent = clock(Math.max(0, (Date.now() - Date.parse(cell.dataset.since)) / 1000));
  }
}, 1000);
