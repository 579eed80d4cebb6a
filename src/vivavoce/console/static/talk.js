// A conversation by text: what is said is shown while it comes, and the trace of each turn once it is committed.
import { away, copy, csrf, toast } from "./console.js";
import "./marks.js";

const $ = (id) => document.getElementById(id);
const talk = $("talk");
const { base, agent, origin, conversations } = talk.dataset;
let conversation = talk.dataset.ended === "yes" ? "" : talk.dataset.conversation;
let said = []; // what was sent so far, for curl
let opened = null;
let isBusy = false;
let shown = Number(talk.dataset.turns); // turns whose words are on the page

function bubble(role, text) {
  $("hint")?.remove();
  const item = document.createElement("p");
  item.className = `bubble ${role}`;
  item.textContent = text;
  $("log").append(item);
  $("log").scrollTop = $("log").scrollHeight;
  return item;
}

function stand() {
  const isOpen = Boolean(conversation);
  $("say").hidden = !isOpen;
  $("end").hidden = !isOpen;
  $("begin").textContent = isOpen || said.length ? "Start again" : "Start";
  $("curl").hidden = opened === null;
  $("share").hidden = $("record").hidden = !talk.dataset.conversation;
  for (const part of $("say").querySelectorAll("button, input")) part.disabled = isBusy;
  $("begin").disabled = isBusy;
}

async function* lines(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true })); // a line that breaks ends
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

async function send(path, fields) {
  const body = new URLSearchParams({ ...fields, message_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });
  for (;;) {
    const reply = await fetch(path, { method: "POST", body, headers: { "X-CSRF-Token": csrf(), Accept: "application/json" } }).catch(() => null);
    if (reply?.status === 401) return location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    if (reply?.ok && await heard(reply)) return;
    if (reply && !reply.ok && reply.status < 502) throw new Error((await reply.json().catch(() => null))?.error ?? `The server answered ${reply.status}.`);
    // Nobody knows whether it has arrived. With the same message id it is not taken twice.
    document.querySelectorAll(".streaming, .working").forEach((item) => item.remove());
    const back = new Promise((done) => document.addEventListener("vivavoce:back", done, { once: true }));
    away();
    await back;
  }
}

// True once the turn is there; false when the line broke before it was.
async function heard(reply) {
  let streaming = null;
  let isWhole = false;
  let working = null;
  for await (const told of lines(reply)) {
    if (told.type === "text") {
      working?.remove();
      streaming ??= bubble("agent streaming", "");
      streaming.textContent = `${streaming.textContent} ${told.text}`.trim();
      $("log").scrollTop = $("log").scrollHeight;
    } else if (told.type === "interim") {
      bubble("agent interim", told.text);
    } else if (told.type === "call") {
      working?.remove();
      working = bubble("working", `${told.name} …`);
    } else if (told.type === "called") {
      working?.remove();
    } else if (told.type === "turn") {
      working?.remove();
      isWhole = true;
      streaming?.remove();
      if (told.reply && told.index >= shown) bubble("agent", told.reply);
      shown = told.index + 1;
      conversation = told.is_ended ? "" : told.id;
      talk.dataset.conversation = told.id;
      $("record").href = `${conversations}/${encodeURIComponent(told.id)}`;
      const here = new URL(location.href);
      here.searchParams.set("conversation", told.id);
      history.replaceState(null, "", here);
      if (told.is_ended) { $("status").textContent = "The conversation has ended."; }
    } else if (told.type === "trace") {
      trace(told.html);
    } else if (told.type === "error") {
      streaming?.remove();
      working?.remove();
      throw new Error(told.message);
    }
  }
  return isWhole;
}

function trace(html) {
  if (!html) return;
  $("trace").querySelector(".empty")?.remove();
  const found = new DOMParser().parseFromString(html, "text/html").querySelector(".turn");
  if (!found || document.getElementById(found.id)) return;
  $("trace").append(found);
  window.htmx.process(found);
  found.scrollIntoView({ block: "nearest" });
}

async function busy(work) {
  if (isBusy) return;
  isBusy = true;
  stand();
  $("status").textContent = "";
  try {
    await work();
  } catch (error) {
    $("status").textContent = error.message;
    toast(error.message, true);
  } finally {
    isBusy = false;
    stand();
    if (conversation) $("say").elements.message.focus();
  }
}

async function end(id) {
  const reply = await fetch(`${base}/${encodeURIComponent(id)}/end`, { method: "POST", headers: { "X-CSRF-Token": csrf(), Accept: "application/json" } });
  if (!reply.ok) throw new Error((await reply.json().catch(() => null))?.error ?? `The server answered ${reply.status}.`);
}

// From now on it is the present version of the folder that is talked to.
async function talkedTo() {
  const version = $("version");
  if (version) await window.htmx.ajax("GET", version.dataset.address, { target: "#version", swap: "outerHTML" });
}

$("setting").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(async () => {
    const before = conversation;
    const fields = Object.fromEntries([...new FormData($("setting"))].filter(([, value]) => value));
    $("log").replaceChildren();
    $("trace").replaceChildren();
    [conversation, said, opened, shown] = ["", [], fields, 0];
    const here = new URL(location.href);
    here.search = new URLSearchParams(fields);
    history.replaceState(null, "", here);
    const begun = send(base, fields);
    await Promise.allSettled([begun, before && end(before), talkedTo()]); // the new conversation waits for neither
    await begun;
    $("setting").querySelector("details").open = false;
  });
});

function say(message, keys = "") {
  if (!conversation) return;
  busy(async () => {
    bubble("user", message || (keys ? `keys ${keys}` : "(silence)"));
    said.push({ message, keys });
    await send(`${base}/${encodeURIComponent(conversation)}`, { message, keys });
  });
}

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = event.target.elements.message;
  if (!field.value.trim()) return;
  say(field.value);
  field.value = "";
});
$("silence").addEventListener("click", () => say(""));
for (const key of "123456789*0#") {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.addEventListener("click", () => { $("pressed").value += key; });
  $("keys").append(button);
}
function dial(isOpen) {
  $("pad").hidden = !isOpen;
  $("dial").setAttribute("aria-expanded", String(isOpen));
}
$("dial").addEventListener("click", () => dial($("pad").hidden));
$("press").addEventListener("click", () => {
  const keys = $("pressed").value;
  if (!/^[0-9*#A-Da-d]+$/.test(keys)) return;
  $("pressed").value = "";
  dial(false);
  say("", keys);
});
$("end").addEventListener("click", () => busy(async () => {
  await end(conversation);
  conversation = "";
  $("status").textContent = "You have ended the conversation.";
}));
$("share").addEventListener("click", () => copy(new URL($("record").getAttribute("href"), location.href).href));

const quoted = (value) => `'${JSON.stringify(value).replaceAll("'", "'\\''")}'`;
$("curl").addEventListener("click", () => {
  const path = `${origin}/v1/agents/${encodeURIComponent(agent)}/debug-chat`;
  const headers = `-H "X-API-KEY: $VIVAVOCE_API_KEY" -H 'Content-Type: application/json'`;
  const first = { clientEnv: opened.environment, channel: opened.channel, variantId: opened.variant, asrLangCode: opened.language, ttsLangCode: opened.language, callerNumber: opened.number, simulatedAt: opened.simulated_at, integrationAttributes: opened.attributes ? JSON.parse(opened.attributes) : undefined };
  const commands = [`ID=$(curl -s ${path} ${headers} \\\n  -d ${quoted(first)} | python3 -c 'import json, sys; print(json.load(sys.stdin)["conversationId"])')`];
  for (const { message, keys } of said) {
    const body = { clientEnv: opened.environment, message, metadata: keys ? { dtmf: keys } : undefined };
    commands.push(`curl -s ${path}/$ID ${headers} \\\n  -d ${quoted(body)}`);
  }
  copy(commands.join("\n"));
});
stand();
