// Plays each format in an <audio> element and, where the browser takes it, through Media Source Extensions,
// listens to what comes out, and posts to /report what that was.

const AUDIBLE = 0.05;
const SILENT_WINDOWS_AT_THE_END = 6;
const LONGEST_MS = 20_000;

const event = (target, name) => new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));
// JSON has neither Infinity nor NaN.
const number = (value) => (Number.isFinite(value) ? value : String(value));

/** Play to the end, tell when the first sound is heard, and return what was heard in all. */
async function listen(context, plan, audio, tellHeard) {
  const meter = new AudioWorkletNode(context, "meter", {
    channelCount: 1,
    channelCountMode: "explicit",
    outputChannelCount: [1],
    processorOptions: { tonesHz: plan.tones_hz, windowS: plan.window_s },
  });
  context.createMediaElementSource(audio).connect(meter).connect(context.destination);

  const durations = [];
  audio.addEventListener("durationchange", () => durations.push([audio.currentTime, number(audio.duration)]));
  const windows = [];
  let durationWhenHeard = null;
  let ended = false;
  let silentWindows = 0;
  const heardAll = new Promise((resolve) => {
    meter.port.onmessage = ({ data: levels }) => {
      windows.push(levels);
      if (durationWhenHeard === null && Math.max(...levels) > AUDIBLE) {
        durationWhenHeard = number(audio.duration);
        tellHeard();
      }
      // What the element has ended may still be on its way through the graph.
      silentWindows += ended ? 1 : 0;
      if (silentWindows === SILENT_WINDOWS_AT_THE_END) resolve();
    };
  });
  audio.addEventListener("ended", () => (ended = true));

  const tooLong = new Promise((resolve) => setTimeout(resolve, LONGEST_MS));
  const playing = audio.play().then(() => heardAll);
  let error = null;
  await Promise.race([playing, event(audio, "error"), tooLong]).catch((reason) => (error = String(reason)));
  meter.port.onmessage = null;
  return {
    ended,
    error: audio.error ? `${audio.error.code} ${audio.error.message}` : error,
    duration_changes: durations,
    duration_when_heard: durationWhenHeard,
    duration: number(audio.duration),
    position: audio.currentTime,
    windows,
  };
}

function place(label) {
  const audio = document.createElement("audio");
  audio.controls = true;
  const line = document.createElement("p");
  line.append(`${label} `, audio);
  document.body.append(line);
  return audio;
}

const stream = (format, by) => `/audio/${format}?by=${by}`;
const teller = (format, by) => () => fetch(`/heard/${format}?by=${by}`, { method: "POST" });

async function playElement(context, plan, format) {
  const audio = place(format);
  audio.src = stream(format, "element");
  return await listen(context, plan, audio, teller(format, "element"));
}

async function feed(source, type, url) {
  const buffer = source.addSourceBuffer(type);
  const reader = (await fetch(url)).body.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    buffer.appendBuffer(piece.value);
    await event(buffer, "updateend");
  }
  source.endOfStream();
  return number(buffer.buffered.length === 1 ? buffer.buffered.end(0) : NaN);
}

async function playMediaSource(context, plan, format, type) {
  const audio = place(`${format} by Media Source Extensions`);
  const source = new MediaSource();
  audio.src = URL.createObjectURL(source);
  await event(source, "sourceopen");
  const [bufferedEnd, heard] = await Promise.all([
    feed(source, type, stream(format, "mse")).catch(String),
    listen(context, plan, audio, teller(format, "mse")),
  ]);
  return { ...heard, buffered_end: bufferedEnd };
}

async function playFormat(context, plan, format) {
  const type = plan.media_types[format];
  const takesMediaSource = MediaSource.isTypeSupported(type);
  const canPlay = document.createElement("audio").canPlayType(type);
  const [element, mediaSource] = await Promise.all([
    playElement(context, plan, format),
    takesMediaSource ? playMediaSource(context, plan, format, type) : null,
  ]);
  return [format, { can_play: canPlay, element, media_source: mediaSource }];
}

async function main() {
  const plan = await (await fetch("/plan")).json();
  const wanted = new URLSearchParams(location.search).getAll("format");
  const context = new AudioContext({ sampleRate: 48_000 });
  await context.audioWorklet.addModule("/page/meter.js");
  // A browser that is not told otherwise plays nothing until somebody clicks.
  document.addEventListener("click", () => context.resume());
  await context.resume();
  const heard = [];
  for (const group of plan.together) {
    const formats = group.filter((format) => wanted.length === 0 || wanted.includes(format));
    heard.push(...(await Promise.all(formats.map((format) => playFormat(context, plan, format)))));
  }
  return { user_agent: navigator.userAgent, formats: Object.fromEntries(heard) };
}

const report = await main().catch((reason) => ({ error: `${reason}\n${reason.stack ?? ""}` }));
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
