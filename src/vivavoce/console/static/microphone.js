// Runs in the audio thread: the microphone at any rate becomes 20 ms frames of 16-bit PCM at 16 kHz, and such frames are
// played. Both are resampled here by averaging or interpolation, which is enough for speech.
const RATE = 16000, FRAME = 320, START = 3 * FRAME;

class Telephone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE;
    this.frame = new Int16Array(FRAME); this.filled = 0;
    this.sum = 0; this.count = 0; this.due = this.step;
    this.queue = []; this.at = 0; this.waiting = 0; this.playing = false; this.position = 0; this.before = 0; this.next = 0;
    this.port.onmessage = ({ data }) => {
      if (data === "clear") { this.queue = []; this.at = 0; this.waiting = 0; this.playing = false; return; }
      if (typeof data === "object" && data.mark !== undefined) { this.queue.push(data); return; }
      const samples = new Int16Array(data);
      this.queue.push(samples); this.waiting += samples.length;
    };
  }

  take() {  // the next sample to be played, or null
    while (this.queue.length) {
      const head = this.queue[0];
      if (head.mark !== undefined) { this.queue.shift(); this.port.postMessage({ reached: head.mark }); continue; }
      if (this.at < head.length) { this.waiting--; return head[this.at++] / 32768; }
      this.queue.shift(); this.at = 0;
    }
    return null;
  }

  process(inputs, outputs) {
    const input = inputs[0][0], output = outputs[0][0];
    const length = output.length;
    for (let i = 0; i < length; i++) {
      this.sum += input ? input[i] : 0; this.count++; this.due--;
      if (this.due <= 0) {
        this.due += this.step;
        const value = Math.max(-1, Math.min(1, this.sum / this.count));
        this.sum = 0; this.count = 0;
        this.frame[this.filled++] = Math.round(value * 32767);
        if (this.filled === FRAME) {
          this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
          this.frame = new Int16Array(FRAME); this.filled = 0;
        }
      }
    }
    // A little is gathered before it is played, so that sound that comes unevenly has no holes.
    if (!this.playing && (this.waiting >= START || (this.queue.length && this.queue.at(-1).mark !== undefined))) this.playing = true;
    for (let i = 0; i < length; i++) {
      if (!this.playing) { output[i] = 0; continue; }
      this.position += 1 / this.step;
      while (this.position >= 1) {
        this.position -= 1; this.before = this.next;
        const value = this.take();
        if (value === null) { this.next = 0; this.playing = false; this.position = 0; break; }
        this.next = value;
      }
      output[i] = this.before + (this.next - this.before) * this.position;
    }
    return true;
  }
}
registerProcessor("telephone", Telephone);
