"""`voice-mcp log`: the event log as readable lines."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import visible, warn
from voice_mcp.cli.output import standard_output
from voice_mcp.events import EventType
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.event_log import read_events
from voice_mcp.storage.paths import DataRoot

LOOK_EVERY_S = 0.1
EVENT_CELLS = max(map(len, EventType))
