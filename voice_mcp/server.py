"""The MCP server: what it says of itself, what it offers, when it loads, and how it ends."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NoReturn, Protocol

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp.types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult
from pydantic import ValidationError

from voice_mcp import __version__
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.session import Session
from voice_mcp.core.status import conversation_record, status_record, voices_record
from voice_mcp.errors import InvalidConversationId, VoiceError
from voice_mcp.last_resort import WantOfMemory
from voice_mcp.stdio import repair_input
from voice_mcp.tools._arguments import bad_arguments
from voice_mcp.tools._boundary import refuse
from voice_mcp.tools.converse import add_converse
from voice_mcp.tools.speak import add_speak

INSTRUCTIONS = """You can speak to the user. Use `speak` to tell them something while you go on working, and \
`converse` to ask something and get the answer. Speak when the user talks with you by voice, asked to be told, or may \
be away from the screen: a result, a question that blocks you, a problem. Keep it short, the way people talk: one to \
three sentences, the point first. Do not read out code, tables or long lists; say what they mean. What you speak need \
not be repeated in the chat in full. If a result says `interrupted`, the user stopped you: they know only `heard`. If \
it has a `note`, pass it on when it matters to them."""

LogLevel = Literal["DEBUG", "WARNING"]

WARM_UP_AFTER_LISTING_S = 0.05
"""The host gets its answer first; then what the first words need is loaded."""
WARM_UP_ANYWAY_S = 2.0
"""For hosts that never list the tools."""
LAST_WORDS_S = 0.8
"""How long the end leaves for silence and records before audio processes are killed, and after a signal this one."""


class House(Protocol):
    """What the server needs of the house it is the door of."""

    @property
    def session(self) -> Session:
        """What the tools work with."""
        ...

    @property
    def audio_process_id(self) -> int | None:
        """The audio process that plays, while it runs."""
        ...

    @property
    def microphone_process_id(self) -> int | None:
        """The audio process that listens, while it runs."""
        ...

    async def aclose(self) -> None:
        """Silence, complete the records, let everything go."""
        ...

    def privacy(self) -> dict[str, Any]:
        """What left this machine, and what is kept. Reads files: not for the event loop's thread.

        Raises:
            StorageError: One cannot be read.
        """
        ...

    def kill_audio(self) -> None:
        """End the audio process, whatever it is doing. Returns at once."""
        ...


class VoiceServer(MCPServer[House]):
    """The SDK's server, with our words for arguments that are not what a tool takes, and for prompts it lacks."""

    def __init__(self, session: Session, **options: Any) -> None:
        super().__init__("voice-mcp", **options)
        self._session = session

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[House, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; see ``MCPServer.call_tool``."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as exc:
            cause = exc.__cause__
            # An unexpected one is a result of ours that does not fit its schema: a mistake for the log.
            if isinstance(exc, UnexpectedToolError) or not isinstance(cause, ValidationError):
                raise
            problem = bad_arguments(name, cause, self._takes(name))
        return await refuse(self._session, name, arguments.get("conversation_id"), problem)

    def refuse_unknown_arguments(self) -> None:
        """An argument that a tool does not take was meant to do something; the SDK would leave it out silently."""
        for tool in self._tool_manager.list_tools():
            takes = tool.fn_metadata.arg_model
            takes.model_config["extra"] = "forbid"
            takes.model_rebuild(force=True)
            tool.parameters["additionalProperties"] = False

    def _takes(self, name: str) -> Sequence[str]:
        tool = self._tool_manager.get_tool(name)
        return tuple(tool.parameters["properties"]) if tool is not None else ()

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[House, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Get a prompt; one that is not there is the client's mistake, and no traceback for the log."""
        if name not in [prompt.name for prompt in await self.list_prompts()]:
            raise MCPError(INVALID_PARAMS, f"There is no prompt {name!r}.")
        return await super().get_prompt(name, arguments, context)


def create_server(house: House, *, log_level: LogLevel = "WARNING") -> MCPServer[House]:
    """The server of one house, ready to run on any transport.

    It serves one connection: when that ends, the house is closed with it, as a host that goes away leaves nobody to
    speak to. For another connection make another house.
    """
    session = house.session

    @asynccontextmanager
    async def lifespan(_: MCPServer[House]) -> AsyncIterator[House]:
        loop = asyncio.get_running_loop()
        anyway = loop.call_later(WARM_UP_ANYWAY_S, session.warm_up)
        try:
            yield house
        finally:
            anyway.cancel()
            last_words = loop.call_later(LAST_WORDS_S, house.kill_audio)  # whoever hangs is not waited for
            await asyncio.shield(house.aclose())
            last_words.cancel()

    async def warm_up_after_listing(ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/list":
            asyncio.get_running_loop().call_later(WARM_UP_AFTER_LISTING_S, session.warm_up)
        return result

    async def notice_the_client(ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        if (params := ctx.session.client_params) is not None:
            session.agent.client = params.client_info.name
        return await call_next(ctx)

    server = VoiceServer(
        session,
        title="Voice",
        version=__version__,
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        middleware=[warm_up_after_listing, notice_the_client],
        log_level=log_level,
    )
    add_speak(server, session)
    add_converse(server, session)
    server.refuse_unknown_arguments()
    _add_resources(server, house)
    _add_prompt(server)
    return server


async def serve_stdio(house: House) -> None:
    """Serve on standard input and output until it closes or a signal comes. Does not return: the process ends."""
    debug = logging.getLogger().isEnabledFor(logging.DEBUG)
    server = create_server(house, log_level="DEBUG" if debug else "WARNING")
    _end_well_on_signals(house)
    asyncio.get_running_loop().set_exception_handler(WantOfMemory())
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin = repair_input(sys.stdin)  # the SDK reads from here and takes no other stream
    await server.run_stdio_async()
    # Everything is closed. The interpreter would wait for threads that wait for a lock, a disk or a library.
    _exit(0)


def _add_resources(server: MCPServer[House], house: House) -> None:
    session = house.session

    @server.resource("voice://voices", title="Voices", mime_type="application/json")
    async def voices() -> str:
        """Every voice of every engine that can be asked."""
        return _as_json(await voices_record(session.speaker.roster))

    @server.resource("voice://status", title="Status", mime_type="application/json")
    async def status() -> str:
        """Who can speak and listen, who rests and why, who speaks now and who waits, where records go."""
        processes = {"audio_process": house.audio_process_id, "microphone_process": house.microphone_process_id}
        return _as_json(status_record(session, **processes))

    @server.resource("voice://privacy", title="Privacy", mime_type="application/json")
    async def privacy() -> str:
        """What went to which host, when the microphone was open, what is on disk and when it is deleted."""
        try:
            return _as_json(await asyncio.to_thread(house.privacy))
        except VoiceError as exc:
            raise ResourceError(exc.advice) from exc

    @server.resource("voice://conversations/{id}", title="Conversation", mime_type="application/json")
    async def conversation(id: str) -> str:
        """What was said and heard in one conversation, in order."""
        try:
            check_conversation_id(id)
            record = await asyncio.to_thread(conversation_record, session.conversations, session.archive.root, id)
        except InvalidConversationId as exc:
            raise ResourceNotFoundError(exc.advice) from exc
        except VoiceError as exc:
            raise ResourceError(exc.advice) from exc
        if not record["exchanges"]:
            raise ResourceNotFoundError(f"There is no conversation {id}.")
        return _as_json(record)


def _add_prompt(server: MCPServer[House]) -> None:
    @server.prompt(title="Talk with me")
    def converse(topic: str = "") -> str:
        """Start a spoken conversation."""
        about = f" about {topic}" if topic else ""
        return (
            f"Let us talk{about}. Use the converse tool: greet me in one short sentence and ask one question, then go "
            "on from my answers, one question at a time, until I say that we are done."
        )


def _end_well_on_signals(house: House) -> None:
    """Silence and records first, then the exit that the SDK would not find (its reader waits for input for ever)."""
    loop = asyncio.get_running_loop()
    endings: list[asyncio.Task[None]] = []  # so that the end is not collected before it is over

    async def end(number: int) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await house.aclose()
        finally:
            house.kill_audio()  # a hung sound system must not outlive its server
            _exit(128 + number)

    def begin_end(number: int) -> None:
        if not endings:
            endings.append(asyncio.ensure_future(end(number)))

    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, begin_end, number)
        except NotImplementedError:  # Windows: no loop-level handlers; the plain one runs in the main thread
            signal.signal(number, lambda received, frame: loop.call_soon_threadsafe(begin_end, received))


def _exit(code: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(code)


def _as_json(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, indent=1, default=str)
