const $ = (id) => document.getElementById(id);
let call = null;

function say(text, isProblem = false) {
  $("status").textContent = text;
  $("status").classList.toggle("problem", isProblem);
}

function line(role, text, note, reply) {
  if (!text && role === "agent") return;
  const item = document.createElement("li");
  item.dataset.reply = reply ?? "";
  item.className = role + (note === "interim" ? " interim" : "");
  const who = document.createElement("small");
  who.textContent = role === "user" ? "You" : "Agent";
  item.append(who, text || "(silence)");
  $("transcript").append(item);
  item.scrollIntoView({ block: "nearest" });
}

function cut(heard, reply) {  // what of a reply was heard takes the place of all of it
  const [first, ...rest] = [...$("transcript").querySelectorAll(`.agent:not(.interim)[data-reply="${Number(reply)}"]`)];
  if (!first) return;
  rest.forEach((item) => item.remove());
  const who = document.createElement("small");
  who.textContent = "Agent, interrupted";
  first.replaceChildren(who, heard || "(nothing of it was heard)");
}

async function invite() {
  const reply = await fetch(`/v1/agents/${encodeURIComponent($("agent").value.trim())}/calls`, {
    method: "POST",
    headers: { "X-API-KEY": $("key").value.trim(), "Content-Type": "application/json" },
    body: JSON.stringify({ clientEnv: $("environment").value, callerNumber: $("number").value.trim() || null }),
  });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(body?.error_message ?? `The server answered ${reply.status}.`);
  return body;
}

async function begin() {
  $("transcript").replaceChildren();
  $("record").hidden = true;
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
    await context.audioWorklet.addModule("/call/microphone.js").catch(() => { throw new Error("The server cannot be reached."); });
    await context.resume();
    say("Calling…");
    const invited = await invite();
    const url = new URL(invited.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const telephone = new AudioWorkletNode(context, "telephone", { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
    const source = context.createMediaStreamSource(microphone);
    source.connect(telephone).connect(context.destination);
    call = { socket, context, microphone, telephone, isMuted: false, since: Date.now(), id: invited.conversationId, ended: "" };
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
        $("live").hidden = false;
        $("settings").hidden = true;
        break;
      case "transcript": line(told.role, told.text, told.interim ? "interim" : "", told.reply); break;
      case "interrupted": cut(told.heard, told.reply); break;
      case "clear": telephone.port.postMessage("clear"); $("theirs").value = 0; break;
      case "mark": telephone.port.postMessage({ mark: told.mark }); break;
      case "transfer": current.ended = `You would now be transferred to ${told.destination}${told.number ? " (" + told.number + ")" : ""}.`; break;
      case "error": current.problem = told.message; break;
      case "end": break;
    }
  };
  socket.onclose = (event) => finish(current, event.reason || (event.code === 1006 ? "The connection to the server was lost." : ""));
  current.timer = setInterval(() => {
    const seconds = Math.floor((Date.now() - current.since) / 1000);
    $("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }, 500);
}

async function finish(current, reason) {
  if (call !== current) return;
  call = null;
  clearInterval(current.timer);
  current.microphone.getTracks().forEach((track) => track.stop());
  await current.context.close();
  $("live").hidden = true;
  $("settings").hidden = false;
  $("call").disabled = false;
  say(current.problem ?? (reason || current.ended || "The call is over."), Boolean(current.problem || reason));
  $("record").hidden = false;
  $("record").textContent = `Conversation ${current.id}`;
}

$("settings").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (call) return;
  $("call").disabled = true;
  sessionStorage.setItem("vivavoce-key", $("key").value.trim());
  try {
    await begin();
  } catch (error) {
    say(error.message, true);
    $("call").disabled = false;
  }
});
$("end").addEventListener("click", () => {
  if (call?.socket.readyState === WebSocket.OPEN) { call.socket.send(JSON.stringify({ type: "stop" })); call.socket.close(); }
});
$("mute").addEventListener("click", () => {
  if (!call) return;
  call.isMuted = !call.isMuted;
  $("mute").setAttribute("aria-pressed", String(call.isMuted));
  $("mute").textContent = call.isMuted ? "Unmute" : "Mute";
});
const press = (key) => call?.socket.readyState === WebSocket.OPEN && call.socket.send(JSON.stringify({ type: "key", key }));
document.addEventListener("keydown", (event) => {
  if (call && !event.ctrlKey && !event.metaKey && !event.altKey && "0123456789*#".includes(event.key)) press(event.key);
});
for (const key of "123456789*0#") {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.setAttribute("aria-label", `Key ${key}`);
  button.addEventListener("click", () => press(key));
  $("keypad").append(button);
}

// A key may come in the part of the address that is never sent; it is taken out of it at once.
const given = new URLSearchParams(location.hash.slice(1));
if (location.hash) history.replaceState(null, "", location.pathname);
$("key").value = given.get("key") ?? sessionStorage.getItem("vivavoce-key") ?? "";
$("agent").value = given.get("agent") ?? "";
fetch("/readyz").then((reply) => reply.json()).then((ready) => {
  for (const { agentId } of ready.agents) {
    const option = document.createElement("option");
    option.value = agentId;
    $("agents").append(option);
  }
  if (!$("agent").value && ready.agents.length) $("agent").value = ready.agents[0].agentId;
}).catch(() => {});
