"""CSM at its full size, with random weights: first sound, real-time factor, memory.

    python -m benchmarks.csm_gpu                          on a machine with CUDA: all variants, within five minutes
    python -m benchmarks.csm_gpu --tiny --device cpu      tries the script itself, in a minute

Needs torch, transformers and numpy, and of this project nothing but the engine's own files. Random weights take as long
as trained ones, and say nothing that could be listened to. Each variant runs in a process of its own with a time limit,
so one that fails or hangs costs the others nothing; what is known is printed as soon as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGET_S = 285.0
"""No variant begins after that, and none lasts longer."""
LIMITS_S = {
    "graphs": 80.0,
    "none": 70.0,
    "compiled-graphs": 150.0,
    "transformers": 60.0,
    "compiled": 120.0,
}
"""The variants in the order of what they are worth, and how long each may take."""
RESULT = "RESULT "
FRAME_S = 0.08
CONTEXT_FRAMES = 125
"""A voice's ten seconds."""
TEXT_TOKENS = 24
"""A sentence of some fifteen words."""
ROWS = (
    ("first sound, p50 (ms)", "first_sound_ms", 1),
    ("first sound, p95 (ms)", "first_sound_p95_ms", 1),
    ("first sound with a voice of 10 s, p50 (ms)", "first_sound_voice_ms", 1),
    ("reading that voice, once (ms)", "read_voice_ms", 1),
    ("a frame of 80 ms, p50 (ms)", "frame_ms", 2),
    ("a frame, p99 (ms)", "frame_p99_ms", 2),
    ("of it the codec (ms)", "codec_ms", 2),
    ("real-time factor", "real_time_factor", 3),
    ("memory of the weights (GB)", "weights_gb", 2),
    ("peak memory (GB)", "peak_gb", 2),
    ("preparation after loading (s)", "prepare_s", 1),
    ("stream against one-shot, largest difference", "stream_difference", 7),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured, and how much of it."""

    device: str
    dtype: str
    tiny: bool
    frames: int
    repeats: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run every variant, or, as a child, one."""
    parser = argparse.ArgumentParser(description="CSM at its full size, with random weights.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tiny", action="store_true", help="a network of toy size, to try the script")
    parser.add_argument("--frames", type=int, default=0, help="frames of a run; 250 are 20 seconds")
    parser.add_argument("--repeats", type=int, default=0, help="how often first sounds are measured")
    parser.add_argument("--variants", default="", help="some of " + ",".join(LIMITS_S))
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for all of it")
    parser.add_argument("--json", type=Path, help="where the figures go, besides standard output")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    options = Options(
        given.device,
        given.dtype,
        given.tiny,
        given.frames or (20 if given.tiny else 250),
        given.repeats or (3 if given.tiny else 20),
    )
    if given.child:
        print(RESULT + json.dumps(measure(given.child, options)), flush=True)
        return 0
    names = [name for name in given.variants.split(",") if name] or list(LIMITS_S)
    if options.device != "cuda":
        names = [name for name in names if not name.endswith("graphs")]
    return run_all(names, options, given.budget, given.json)


# --- the parent --------------------------------------------------------------------------------------------------


def run_all(names: Sequence[str], options: Options, budget_s: float, json_path: Path | None) -> int:
    """Each variant in its own process; the table after each, so that a run that is cut off has shown something."""
    started = time.monotonic()
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        left_s = budget_s - (time.monotonic() - started)
        if left_s < 2.0:
            results[name] = {"error": "no time was left for it"}
            continue
        results[name] = run_child(name, options, min(LIMITS_S[name], left_s))
        print(f"\n{table(results)}\n", flush=True)
        if json_path is not None:
            json_path.write_text(json.dumps(results, indent=2))
    print(json.dumps(results), flush=True)
    return 0 if any("error" not in result for result in results.values()) else 1


def run_child(name: str, options: Options, limit_s: float) -> dict[str, Any]:
    """One variant's figures, or why there are none."""
    command = [sys.executable, "-u", "-m", "benchmarks.csm_gpu", "--child", name]
    command += ["--device", options.device, "--dtype", options.dtype]
    command += ["--frames", str(options.frames), "--repeats", str(options.repeats)] + ["--tiny"] * options.tiny
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    print(f"== {name}: at most {limit_s:.0f} s", flush=True)
    began = time.monotonic()
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,  # its compilers hold the pipe too: they are ended with it
    )
    assert child.stdout is not None
    watch = threading.Timer(limit_s, os.killpg, (child.pid, signal.SIGKILL))
    watch.start()
    figures: dict[str, Any] = {}
    last_line = ""
    try:
        for line in child.stdout:
            text = line.rstrip()
            if text.startswith(RESULT):
                figures.update(json.loads(text.removeprefix(RESULT)))
            else:
                print(f"   [{time.monotonic() - began:5.1f} s] {text[:300]}", flush=True)
                last_line = text.strip() or last_line
        code = child.wait()
    finally:
        watch.cancel()
    if code != 0:
        ran_out = time.monotonic() - began >= limit_s
        figures["error"] = f"stopped after {limit_s:.0f} s" if ran_out else f"ended with {code}: {last_line[:500]}"
    figures["whole_s"] = round(time.monotonic() - began, 1)
    return figures


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures as a Markdown table, a column a variant."""
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for label, key, digits in ROWS:
        cells = [f"{value:.{digits}f}" if (value := each.get(key)) is not None else "" for each in results.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += [f"\n{name}: {each['error']}" for name, each in results.items() if "error" in each]
    return "\n".join(lines)


# --- a child -----------------------------------------------------------------------------------------------------


def measure(name: str, options: Options) -> dict[str, Any]:
    """One variant; figures are also printed as they come, so that a child that is killed has said something."""
    import torch
    import transformers

    say(f"torch {torch.__version__}, transformers {transformers.__version__}")
    if options.device == "cuda":
        say(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    if options.tiny:
        torch.set_num_threads(1)  # threads that wait for one another would be all that is measured
    torch.manual_seed(7)
    model = random_model(options)
    found = Found()
    found.put(weights_gb=gigabytes(options.device, peak=False))
    with torch.no_grad():
        if name == "transformers":
            measure_peer(model, options, found)
        else:
            measure_engine(model, name, options, found)
    return found.figures


class Found:
    """What was found so far; every piece is printed at once."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}

    def put(self, **figures: float | str | None) -> None:
        """Keep and print figures."""
        self.figures.update(figures)
        print(RESULT + json.dumps(figures), flush=True)


def measure_engine(model: Any, name: str, options: Options, found: Found) -> None:
    """First sounds, then a long run, then whether the sound is right."""
    from voice_mcp.tts._csm_frames import Draw, FrameMaker, Speedup
    from voice_mcp.tts._csm_sound import Mouth, read_prefix

    length = int(model.config.max_position_embeddings)
    draw = Draw(temperature=0.9, top_k=50, seed=1)
    text = token_ids(model)

    began = time.perf_counter()
    maker = FrameMaker(model, length, Speedup(name))
    mouth = Mouth(maker, model.codec_model, length)
    for _ in range(2):
        mouth.begin(maker.embed_text(text), draw)
        for _ in range(4):
            mouth.next_sound()
        say("warm")
    found.put(prepare_s=time.perf_counter() - began)

    def first(prefix: Any) -> None:
        mouth.begin(maker.embed_text(text), draw, prefix)
        assert mouth.next_sound()

    times = timed(first, None, options.repeats)
    found.put(first_sound_ms=quantile(times, 0.5), first_sound_p95_ms=quantile(times, 0.95))
    say(f"first sound {quantile(times, 0.5):.1f} ms")

    voice = voice_prompt(model, maker, options)
    reading = timed(lambda prompt: read_prefix(maker, prompt), voice, 3)
    prefix = read_prefix(maker, voice)
    times = timed(first, prefix, options.repeats)
    found.put(read_voice_ms=quantile(reading, 0.5), first_sound_voice_ms=quantile(times, 0.5))
    say(f"first sound with a voice {quantile(times, 0.5):.1f} ms")

    mouth.begin(maker.embed_text(text), draw, prefix)
    frames = timed(lambda _: mouth.next_sound(), None, options.frames)
    found.put(
        frame_ms=quantile(frames, 0.5),
        frame_p99_ms=quantile(frames, 0.99),
        real_time_factor=sum(frames) / 1000 / (options.frames * FRAME_S),
        peak_gb=gigabytes(options.device, peak=True),
    )
    say(f"a frame {quantile(frames, 0.5):.2f} ms, real-time factor {found.figures['real_time_factor']:.3f}")
    check_sound(model, name, options, found)
    check_codes(model, name, maker, options, found)


def check_sound(model: Any, name: str, options: Options, found: Found) -> None:
    """The codec alone: how long a frame takes, and whether a stream is what one-shot decoding is."""
    import torch

    from voice_mcp.tts._csm_codec import CodecStream
    from voice_mcp.tts._csm_frames import Speedup

    codec = model.codec_model
    count = 40 if options.tiny else 150
    shape = (1, codec.config.num_quantizers, count)
    codes = torch.randint(0, codec.config.codebook_size, shape, device=options.device)
    stream = CodecStream(codec, records=Speedup(name).records)
    pieces = [stream.decode(codes[:, :, index]).clone() for index in range(count)]
    stream.reset()
    times = timed(lambda _: stream.decode(codes[:, :, 0]).cpu(), None, 30)
    found.put(codec_ms=quantile(times, 0.5))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        whole = codec.decode(codes).audio_values[0, 0]
    sound = torch.cat(pieces)
    found.put(
        stream_difference=float((sound - whole).abs().max()),
        loudest=float(whole.abs().max()),
        samples_missing=whole.shape[0] - sound.shape[0],
    )
    fast = codec.decode(codes).audio_values[0, 0]
    found.put(tf32_difference=float((fast - whole).abs().max()))
    say(f"stream against one-shot: {found.figures['stream_difference']:.2e} of {found.figures['loudest']:.2f}")


def check_codes(model: Any, name: str, maker: Any, options: Options, found: Found) -> None:
    """Whether this variant chooses what the plain one does, greedily; in bfloat16 a tie may fall either way."""
    import torch

    from voice_mcp.tts._csm_frames import Draw, FrameMaker, Speedup

    text = token_ids(model)
    plain = FrameMaker(model, 512, Speedup.NONE) if name != "none" else maker
    ours, theirs = greedy(maker, text, Draw(0.0, 1), 6), greedy(plain, text, Draw(0.0, 1), 6)
    # Only codes that the codec has an entry for, as the engine does.
    silent = list(range(maker.sounding, maker.codes_each))
    reference = model.generate(
        input_ids=torch.tensor([text], device=options.device),
        do_sample=False,
        depth_decoder_do_sample=False,
        suppress_tokens=silent,
        depth_decoder_suppress_tokens=silent,
        max_new_tokens=6,
    )[0].tolist()
    found.put(
        first_frame_like_plain=share(ours[:1], theirs[:1]),
        frames_like_plain=share(ours, theirs),
        first_frame_like_generate=share(ours[:1], reference[:1]),
        frames_like_generate=share(ours, reference),
    )


def greedy(maker: Any, text: list[int], draw: Any, count: int) -> list[list[int]]:
    """The codes of the first frames."""
    line = maker.line()
    line.read(maker.embed_text(text))
    line.begin(draw)
    return [codes[0].tolist() for _ in range(count) if (codes := line.next()) is not None]


def share(ours: list[list[int]], theirs: list[list[int]]) -> float:
    """Of all codes, those that are the same."""
    pairs = [pair for a, b in zip(ours, theirs, strict=False) for pair in zip(a, b, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def measure_peer(model: Any, options: Options, found: Found) -> None:
    """What transformers' own ``generate`` takes; there is no sound before the end, here of two seconds."""
    import torch

    text = torch.tensor([token_ids(model)], device=options.device)
    count = min(options.frames, 25)

    def whole(frames: int) -> None:
        codes = model.generate(
            input_ids=text,
            do_sample=True,
            temperature=0.9,
            top_k=50,
            depth_decoder_do_sample=True,
            depth_decoder_temperature=0.9,
            depth_decoder_top_k=50,
            max_new_tokens=frames,
        )
        codes = codes.clamp(max=int(model.codec_model.config.codebook_size) - 1)
        model.codec_model.decode(codes.transpose(1, 2)).audio_values.cpu()

    began = time.perf_counter()
    whole(2)
    found.put(prepare_s=time.perf_counter() - began)
    took_ms = timed(whole, count, 1)[0]
    found.put(first_sound_ms=took_ms, frame_ms=took_ms / count, real_time_factor=took_ms / 1000 / (count * FRAME_S))
    found.put(peak_gb=gigabytes(options.device, peak=True))
    say(f"{count} frames by generate(): {took_ms:.0f} ms")


def random_model(options: Options) -> Any:
    """The architecture with random weights, made where it is to run; the codec in float32."""
    import torch
    from transformers import CsmForConditionalGeneration

    began = time.perf_counter()
    with torch.device(options.device):
        model = CsmForConditionalGeneration(config(options.tiny)).eval()
        for module in model.codec_model.modules():
            if hasattr(module, "embed_sum"):  # zeros until it is trained, which would be silence
                module.embed_sum.normal_()
    wanted = torch.float32 if options.device == "cpu" else getattr(torch, options.dtype)
    for name, part in model.named_children():
        part.to(torch.float32 if name == "codec_model" else wanted)
    if options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    say(f"{millions:.0f} million parameters after {time.perf_counter() - began:.1f} s")
    return model


def config(tiny: bool) -> Any:
    """CSM's as it was published, or the same architecture as a toy."""
    from transformers import CsmConfig

    if not tiny:
        return CsmConfig(
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 32.0,
                "high_freq_factor": 0.5,
                "low_freq_factor": 0.125,
                "original_max_position_embeddings": 1024,
            }
        )
    sizes = {"num_hidden_layers": 2, "num_key_value_heads": 2}
    depth = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "backbone_hidden_size": 64, **sizes}
    codec = {"hidden_size": 32, "num_filters": 4, "upsample_groups": 32, "num_hidden_layers": 2, "codebook_size": 64}
    codec |= {"codebook_dim": 16, "vector_quantization_hidden_dimension": 16, "num_attention_heads": 4}
    codec |= {"num_key_value_heads": 4, "intermediate_size": 64, "sliding_window": 20, "model_type": "mimi"}
    return CsmConfig(
        vocab_size=67,
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=8,
        codebook_pad_token_id=66,
        max_position_embeddings=512,
        depth_decoder_config={"vocab_size": 67, **depth},
        codec_config=codec,
        **sizes,
    )


def token_ids(model: Any) -> list[int]:
    """A sentence of no meaning."""
    most = min(1000, int(model.config.text_vocab_size))
    return [(7 + 31 * index) % most for index in range(TEXT_TOKENS)]


def voice_prompt(model: Any, maker: Any, options: Options) -> Any:
    """What ten seconds of a voice are to the backbone: text, frames of codes, and the frame that ends them."""
    import torch

    size = (1, 20 if options.tiny else CONTEXT_FRAMES, maker.codebooks)
    codes = torch.randint(1, int(model.codec_model.config.codebook_size), size, device=options.device)
    codes = torch.nn.functional.pad(codes, (0, 0, 0, 1))
    return torch.cat((maker.embed_text(token_ids(model)), maker.embed_codes(codes)), dim=1)


def timed(what: Callable[[Any], object], argument: Any, times: int) -> list[float]:
    """How long each call took, in milliseconds; a call ends when its result is in main memory."""
    import torch

    took = []
    for _ in range(times):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        began = time.perf_counter()
        what(argument)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append((time.perf_counter() - began) * 1000)
    return took


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def gigabytes(device: str, *, peak: bool) -> float | None:
    """Memory of the device that tensors take, or took at most."""
    import torch

    if device != "cuda":
        return None
    return (torch.cuda.max_memory_reserved() if peak else torch.cuda.memory_allocated()) / 1e9


def say(what: str) -> None:
    """Progress, for whoever watches."""
    print(what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
