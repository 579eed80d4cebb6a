// The sound of a call: a waveform with its turns as regions, and the transcript that follows it.
import { clock, colour } from "./console.js";
import WaveSurfer from "./vendor/wavesurfer.js";
import Regions from "./vendor/wavesurfer-regions.js";

const channels = () => ["--chart-2", "--chart-1"].map((name) => ({ waveColor: colour("--muted"), progressColor: colour(name), height: 46 }));

export class Player {
  static async make(wave, turns) {
    const reply = await fetch(wave.dataset.peaks, { headers: { Accept: "application/json" } });
    if (!reply.ok) throw new Error("no sound");
    const { peaks, seconds } = await reply.json();
    return new Player(wave, turns, peaks, seconds);
  }

  constructor(wave, turns, peaks, seconds) {
    this.turns = turns;
    this.until = null;
    const place = wave.querySelector("#waveform");
    place.hidden = wave.querySelector(".tracks").hidden = false;
    this.regions = Regions.create();
    const media = document.createElement("audio");
    media.preload = "none";
    media.src = wave.dataset.audio;
    this.surfer = WaveSurfer.create({
      container: place, media, peaks, duration: seconds, height: 46, cspNonce: wave.dataset.nonce,
      splitChannels: channels(),
      cursorColor: colour("--ink"), barWidth: 2, barGap: 1, barRadius: 2, normalize: true, plugins: [this.regions],
    });
    this.button = wave.querySelector("#play");
    this.clock = wave.querySelector("#clock");
    for (const part of [this.button, this.clock, wave.querySelector("#speed-label")]) part.hidden = false;
    this.button.addEventListener("click", () => this.toggle());
    wave.querySelector("#speed").addEventListener("change", (event) => this.surfer.setPlaybackRate(Number(event.target.value), true));
    this.surfer.on("play", () => this.told(true));
    this.surfer.on("pause", () => this.told(false));
    this.surfer.on("timeupdate", (now) => this.moved(now, seconds));
    this.surfer.on("interaction", () => { this.until = null; });
    this.regions.on("region-clicked", (region, event) => { event.stopPropagation(); this.playTurn(document.getElementById(region.id)); });
    this.surfer.on("ready", () => this.found());
    const paint = () => this.surfer.setOptions({ splitChannels: channels(), cursorColor: colour("--ink") });
    document.addEventListener("vivavoce:theme", paint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    this.moved(0, seconds);
    this.found();
  }

  // Turns that have come onto the page become regions.
  found() {
    const known = new Set(this.regions.getRegions().map((region) => region.id));
    for (const turn of this.turns()) {
      const span = this.span(turn);
      const button = turn.querySelector("[data-play]");
      if (button) button.hidden = !span;
      if (span && !known.has(turn.id)) this.regions.addRegion({ id: turn.id, start: span[0], end: span[1], drag: false, resize: false, color: "#8884" });
    }
  }

  span(turn) {
    const { userStart, userEnd, agentStart, agentEnd } = turn.dataset;
    const sides = [[userStart, userEnd], [agentStart, agentEnd]].map((side) => side.map(Number)).filter(([start, end]) => end > start);
    return sides.length ? [Math.min(...sides.map(([start]) => start)), Math.max(...sides.map(([, end]) => end))] : null;
  }

  playTurn(turn) {
    const span = turn && this.span(turn);
    if (!span) return;
    this.until = span[1];
    this.surfer.setTime(span[0]);
    this.surfer.play();
  }

  toggle() {
    this.until = null;
    this.surfer.playPause();
  }

  told(isPlaying) {
    this.button.querySelector("span").textContent = isPlaying ? "Pause" : "Play";
    this.button.querySelector("use").setAttribute("href", this.button.querySelector("use").getAttribute("href").replace(/#.*/, isPlaying ? "#pause" : "#play"));
  }

  moved(now, whole) {
    this.clock.textContent = `${clock(now)} / ${clock(whole)}`;
    if (this.until !== null && now >= this.until) {
      this.until = null;
      this.surfer.pause();
    }
    for (const turn of this.turns()) {
      const span = this.span(turn);
      const isNow = Boolean(span && this.surfer?.isPlaying() && now >= span[0] && now < span[1]);
      if (isNow && !turn.classList.contains("playing")) turn.scrollIntoView({ block: "nearest" });
      turn.classList.toggle("playing", isNow);
    }
  }
}
