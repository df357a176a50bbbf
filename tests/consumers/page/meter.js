// What the browser plays, as it leaves for the speaker: for each window, the level of each tone (Goertzel's algorithm).
class Meter extends AudioWorkletProcessor {
  constructor({ processorOptions: { tonesHz, windowS } }) {
    super();
    this.size = Math.round(sampleRate * windowS);
    this.factors = tonesHz.map((hz) => 2 * Math.cos((2 * Math.PI * hz) / sampleRate));
    this.begin();
  }

  begin() {
    this.taken = 0;
    this.states = this.factors.map(() => [0, 0]);
  }

  take(sample) {
    this.states.forEach((state, at) => {
      const next = sample + this.factors[at] * state[0] - state[1];
      state[1] = state[0];
      state[0] = next;
    });
    this.taken += 1;
    if (this.taken === this.size) {
      this.port.postMessage(this.levels());
      this.begin();
    }
  }

  levels() {
    return this.states.map(([last, before], at) => {
      const power = last * last + before * before - this.factors[at] * last * before;
      return (2 / this.size) * Math.sqrt(Math.max(0, power));
    });
  }

  process([input], [output]) {
    // An input has no channels while nothing plays, and that is silence to be measured too.
    const samples = input[0] ?? new Float32Array(output[0].length);
    output[0].set(samples);
    samples.forEach((sample) => this.take(sample));
    return true;
  }
}

registerProcessor("meter", Meter);
