"""The one home of the openai SDK: a pooled client per endpoint, its key, its time-outs, its errors in our words."""

from voice_mcp.openai_client.answer import Answer
from voice_mcp.openai_client.client import load_sdk
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.openai_client.speech import SpeechClient
from voice_mcp.openai_client.transcription import TranscriptionClient

__all__ = ["Answer", "Endpoint", "SpeechClient", "TranscriptionClient", "load_sdk"]
