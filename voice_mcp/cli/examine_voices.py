"""Neural voices on this machine that do not speak, in one line: nobody has to have one who does not ask for it."""

from __future__ import annotations

from voice_mcp.app import App
from voice_mcp.cli.report import Check, State
from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.parts import NEURAL, build_neural

NAME = "neural voices"


async def check_absent_voices(app: App) -> tuple[Check, ...]:
    """See which of them could be had besides those that the house speaks with."""
    if app.settings.tts_engine != "auto":
        return ()
    speaking = {engine.name for engine in app.engines}
    facts, hint = [], ""
    for name in NEURAL:
        if name in speaking:
            continue
        engine = build_neural(app.settings, name)
        try:
            await engine.check()
        except EngineMissing as exc:
            reason = exc.message.rstrip(".")
            facts.append(f"{name} ({reason[:1].lower()}{reason[1:]})")
            hint = hint or f"{exc.hint} docs/engines.md says what brings the others."
        except EngineError as exc:
            return (Check(NAME, State.WARNING, exc.message, exc.hint),)
        finally:
            await engine.aclose()
    return (Check(NAME, State.OK, f"not there: {', '.join(facts)}.", hint),) if facts else ()
