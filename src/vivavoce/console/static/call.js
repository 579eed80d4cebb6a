// A call from the page: the microphone on one side, the line on the other, and the trace of each turn beside them.
import { clock, copy, csrf, isTyping } from "./console.js";
import "./marks.js";

const $ = (id) => document.getElementById(id);
const talk = $("talk");
let call = null;

function say(text, isProblem = false) {
  $("status").textContent = text;
  $("status").classList.toggle("alert", isProblem);
}

function line(role, text, isInterim, reply) {
  if (!text && role === "agent") return;
  $("hint")?.remove();
  const item = document.createElement("p");
  item.dataset.reply = reply ?? "";
  item.className = `bubble ${role}${isInterim ? " interim" : ""}`;
  item.textContent = text || "(silence)";
  $("log").append(item);
  $("log").scrollTop = $("log").scrollHeight;
}

function cut(heard, reply) { // what of a reply was heard takes the place of all of it
  const [first, ...rest] = [...$("log").querySelectorAll(`.agent:not(.interim)[data-reply="${Number(reply)}"]`)];
  if (!first) return;
  rest.forEach((item) => item.remove());
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = "Interrupted";
  first.replaceChildren(who, heard || "(nothing of it was heard)");
}

async function invite() {
  const reply = await fetch(talk.dataset.calls, { method: "POST", body: new URLSearchParams(new FormData($("setting"))), headers: { "X-CSRF-Token": csrf(), Accept: "application/json" } });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(body?.error ?? `The server answered ${reply.status}.`);
  return body;
}

async function begin() {
  $("log").replaceChildren();
  $("trace").replaceChildren();
  if (!navigator.mediaDevices) throw new Error("Browsers give the microphone to pages over HTTPS or of localhost only.");
  say("Asking for the microphone…");
  const microphone = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  }).catch((error) => {
    throw new Error(error.name === "NotFoundError"
      ? "There is no microphone; connect one, then call again."
      : "The page may not use the microphone; allow it in the browser, then call again.");
  });
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(talk.dataset.microphone).catch(() => { throw new Error("The server cannot be reached."); });
    await context.resume();
    say("Calling…");
    const invited = await invite();
    const url = new URL(invited.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const telephone = new AudioWorkletNode(context, "telephone", { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
    context.createMediaStreamSource(microphone).connect(telephone).connect(context.destination);
    call = { socket, context, microphone, telephone, isMuted: false, since: Date.now(), id: invited.conversationId, ended: "", turns: 0 };
    connect(call);
  } catch (error) {
    microphone.getTracks().forEach((track) => track.stop());
    await context.close();
    throw error;
  }
}

function level(samples) {
  let sum = 0;
  for (const value of samples) sum += value * value;
  return Math.sqrt(sum / samples.length) / 32768;
}

function mute(isMuted) {
  $("mute").setAttribute("aria-pressed", String(isMuted));
  $("mute").textContent = isMuted ? "Unmute" : "Mute";
}

function stand(isLive) {
  mute(false);
  $("live").hidden = $("meters").hidden = $("keypad").hidden = !isLive;
  $("begin").hidden = isLive;
  $("setting").querySelector("details").hidden = isLive;
}

// The turns that are committed by now, with how they came to be.
async function trace(current) {
  if (talk.dataset.reads !== "yes" || current.isTracing) return;
  current.isTracing = true;
  try {
    const reply = await fetch(`${talk.dataset.conversations}/${encodeURIComponent(current.id)}/turns?from=${current.turns}`, { headers: { "HX-Request": "true" } });
    if (reply.status !== 200) return;
    const found = [...new DOMParser().parseFromString(await reply.text(), "text/html").querySelectorAll(".turn")];
    for (const turn of found) {
      $("trace").append(turn);
      window.htmx.process(turn);
    }
    current.turns += found.length;
    found.at(-1)?.scrollIntoView({ block: "nearest" });
  } catch { /* asked again in a moment */ } finally { current.isTracing = false; }
}

function connect(current) {
  const { socket, telephone } = current;
  socket.onopen = () => socket.send(JSON.stringify({ type: "start" }));
  telephone.port.onmessage = ({ data }) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (data.reached !== undefined) { socket.send(JSON.stringify({ type: "mark", mark: data.reached })); return; }
    const samples = new Int16Array(data);
    if (current.isMuted) samples.fill(0);
    $("mine").value = level(samples);
    socket.send(data);
  };
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) {
      $("theirs").value = level(new Int16Array(data));
      telephone.port.postMessage(data, [data]);
      return;
    }
    const told = JSON.parse(data);
    switch (told.type) {
      case "start":
        say("You are on the phone.");
        stand(true);
        break;
      case "transcript": line(told.role, told.text, told.interim, told.reply); trace(current); break;
      case "interrupted": cut(told.heard, told.reply); break;
      case "clear": telephone.port.postMessage("clear"); $("theirs").value = 0; break;
      case "mark": telephone.port.postMessage({ mark: told.mark }); break;
      case "transfer": current.ended = `You would now be transferred to ${told.destination}${told.number ? ` (${told.number})` : ""}.`; break;
      case "error": current.problem = told.message; break;
      case "end": break;
    }
  };
  socket.onclose = (event) => finish(current, event.reason || (event.code === 1006 ? "The connection to the server was lost." : ""));
  current.timer = setInterval(() => {
    $("clock").textContent = clock((Date.now() - current.since) / 1000);
    trace(current);
  }, 1000);
}

async function finish(current, reason) {
  if (call !== current) return;
  call = null;
  clearInterval(current.timer);
  current.microphone.getTracks().forEach((track) => track.stop());
  await current.context.close();
  stand(false);
  $("begin").disabled = false;
  say(current.problem ?? (reason || current.ended || "The call is over."), Boolean(current.problem || reason));
  $("record").hidden = $("share").hidden = false;
  $("record").href = `${talk.dataset.conversations}/${encodeURIComponent(current.id)}`;
  setTimeout(() => trace(current), 500);
}

$("setting").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (call) return;
  $("begin").disabled = true;
  try {
    await begin();
  } catch (error) {
    say(error.message, true);
    $("begin").disabled = false;
  }
});
$("hang-up").addEventListener("click", () => {
  if (call?.socket.readyState === WebSocket.OPEN) { call.socket.send(JSON.stringify({ type: "stop" })); call.socket.close(); }
});
$("mute").addEventListener("click", () => {
  if (!call) return;
  call.isMuted = !call.isMuted;
  mute(call.isMuted);
});
$("share").addEventListener("click", () => copy(new URL($("record").getAttribute("href"), location.href).href));
const press = (key) => call?.socket.readyState === WebSocket.OPEN && call.socket.send(JSON.stringify({ type: "key", key }));
document.addEventListener("keydown", (event) => {
  if (call && !isTyping(event) && "0123456789*#".includes(event.key)) press(event.key);
});
for (const key of "123456789*0#") {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.setAttribute("aria-label", `Key ${key}`);
  button.addEventListener("click", () => press(key));
  $("keypad").append(button);
}
