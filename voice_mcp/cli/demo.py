"""`voice-mcp demo`: the real server as a host sees it, from the first message to the record."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.examine_sound import plays
from voice_mcp.cli.house import conversation_log, house, read_settings
from voice_mcp.cli.output import standard_output, visible
from voice_mcp.cli.spoken import spoken_facts
from voice_mcp.errors import VoiceError
from voice_mcp.settings import Settings
from voice_mcp.types import SpeechStatus

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client.session import IncomingMessage

MESSAGE = (
    "Hello! I am the voice of your agent. You hear this sentence while the next one is still being made, "
    "and captions follow me as I speak. That is all. Have a good day!"
)
LONGEST_S = 120.0
"""Starting, speaking and ending; a server that hangs must not hang the demo."""
UNHEARD = "The server, its tools and the voice work, but nobody could hear it: it went into a file."
LABEL_CELLS = 9


def demo() -> None:
    """Start the real server, have a real client call it, and tell what was spoken and heard."""
    settings = read_settings()  # what is wrong with them is better said here than by a server that does not start
    try:
        asyncio.run(_within_time(_Demo(settings)))
    except TimeoutError as exc:
        raise VoiceError(f"The demo was not over within {LONGEST_S:.0f} s.") from exc


async def _within_time(demonstration: _Demo) -> None:
    async with asyncio.timeout(LONGEST_S):
        await demonstration.run()


class _Demo:
    """One run of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._page = _Page(standard_output())
        self._strange: list[str] = []
        self._caption = ""
        self._plays = True

    async def run(self) -> None:
        """Show it all.

        Raises:
            VoiceError: Something did not work.
        """
        import mcp  # 400 ms: only the demo is a client

        server = mcp.StdioServerParameters(
            command=sys.executable,
            # -P: a project's own files must not be imported in place of the libraries'.
            args=["-P", "-m", "voice_mcp"],
            env=dict(os.environ),  # the SDK would keep the settings from it
        )
        async with house(self._settings) as app:
            self._plays = await plays(app)
        began_s = time.perf_counter()
        try:
            async with mcp.Client(server, message_handler=self._look_at) as client:
                self._show_server(client, time.perf_counter() - began_s)
                await self._show_tools(client)
                result = await self._show_speech(client)
        except (mcp.MCPError, OSError) as exc:
            raise VoiceError(f"The server did not answer: {exc}.") from exc
        self._show_result(result)
        await asyncio.to_thread(self._show_record, str(result["conversation_id"]))
        if self._strange:
            raise VoiceError(f"The server wrote something to standard output that is no MCP: {self._strange[0]}")
        if result["status"] == SpeechStatus.SAVED:
            self._page.add("", f"{UNHEARD} `voice-mcp doctor` shows what is missing.", style="yellow")
        else:
            self._page.add("", "Everything works. `voice-mcp doctor` shows what it is built on.", style="green")

    async def _look_at(self, message: IncomingMessage) -> None:
        """Whatever is on standard output and is no MCP comes here as an exception."""
        if isinstance(message, Exception):
            self._strange.append(str(message))

    # --- the steps ---------------------------------------------------------------------------------------------

    def _show_server(self, client: Client, start_s: float) -> None:
        info = client.server_info
        name = f"{info.name} {info.version}" if info is not None else "an unnamed server"
        self._page.add("server", f"{name} · MCP {client.protocol_version} · answered after {start_s:.1f} s")

    async def _show_tools(self, client: Client) -> None:
        names = [tool.name for tool in (await client.list_tools()).tools]
        self._page.add("tools", ", ".join(names))
        if "speak" not in names:
            raise VoiceError("The server has no tool named speak.")

    async def _show_speech(self, client: Client) -> dict[str, Any]:
        self._page.add("speak", MESSAGE)
        result = await client.call_tool("speak", {"message": MESSAGE}, progress_callback=self._show_caption)
        structured = result.structured_content or {}
        if result.is_error:
            raise VoiceError(
                structured.get("message", "The server's answer has no words."), hint=structured.get("hint")
            )
        return structured

    async def _show_caption(self, progress: float, total: float | None, message: str | None) -> None:
        if message and message != self._caption:
            self._caption = message
            # A file is written as fast as it can be: the times would say nothing.
            self._page.add(f"{progress:5.1f} s" if self._plays else "", message, style="dim")

    def _show_result(self, result: dict[str, Any]) -> None:
        saved = result["status"] == SpeechStatus.SAVED
        self._page.add("saved" if saved else "heard", " · ".join(spoken_facts(result)), whole=True)
        if result.get("note"):
            self._page.add("note", str(result["note"]), style="yellow")
        if result["status"] not in ("completed", "saved"):
            raise VoiceError(f"The speech ended as {result['status']}.")

    def _show_record(self, conversation_id: str) -> None:
        """Thread: any; it reads files."""
        if not self._settings.conversation_log_enabled:
            self._page.add("record", "none (VOICEMODE_CONVERSATION_LOG_ENABLED=false)")
            return
        log, root = conversation_log(self._settings)
        spoken = list(log.exchanges(conversation_id))
        if not spoken:
            raise VoiceError(f"Nothing was put on record in {root.path}.")
        self._page.add("record", f"voice-mcp conversations show {conversation_id}")
        self._page.add("", str(root.exchange_files().path(spoken[-1].timestamp.date())), style="dim", whole=True)


class _Page:
    """What the demo prints: labels on the left, facts on the right."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def add(self, label: str, fact: str, *, style: str = "", whole: bool = False) -> None:
        """Add a line.

        Args:
            label: What it is about.
            fact: What there is to say.
            style: Of both.
            whole: Not to be folded: it holds a path that somebody may want to copy.
        """
        if whole or not self._console.is_terminal:
            line = Text(f"{label:<{LABEL_CELLS}}", style=style or "bold cyan")
            line.append(visible(fact), style=style or "not bold default")
            self._console.print(line, soft_wrap=True)
            return
        table = Table.grid()
        table.add_column(min_width=LABEL_CELLS, style=style or "bold cyan", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(label, Text(visible(fact), style=style))
        self._console.print(table)
