"""The one home of the openai SDK: a pooled client per endpoint, its key, its time-outs, its errors in our words."""

from voice_mcp.openai_client.answer import SpeechResponse
from voice_mcp.openai_client.client import SpeechClient, load_sdk
from voice_mcp.openai_client.endpoint import Endpoint

__all__ = ["Endpoint", "SpeechClient", "SpeechResponse", "load_sdk"]
