"""The endpoints that are set: where each is, its own key, and whether it is worth asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic import SecretStr

from voice_mcp.errors import SettingsError
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.settings import Settings


def speech_endpoints(settings: Settings) -> list[Endpoint]:
    """Every endpoint for speech with its own key and model.

    Raises:
        SettingsError: A key would be readable on its way.
    """
    models = settings.tts_models or ("tts-1",)
    endpoints = [
        Endpoint(base_url, model=models[min(index, len(models) - 1)], part="TTS")
        for index, base_url in enumerate(settings.tts_base_urls)
    ]
    return _with_keys(endpoints, settings.tts_api_keys, settings)


def listening_endpoints(settings: Settings) -> list[Endpoint]:
    """Every endpoint for transcription with its own key.

    Raises:
        SettingsError: A key would be readable on its way.
    """
    endpoints = [Endpoint(base_url, model=settings.stt_model, part="STT") for base_url in settings.stt_base_urls]
    return _with_keys(endpoints, settings.stt_api_keys, settings)


def usable(endpoints: Iterable[Endpoint], *, offline: bool) -> list[Endpoint]:
    """Those worth asking: OpenAI's only with a key, and none beyond this machine when offline."""
    return [
        endpoint
        for endpoint in endpoints
        if (not endpoint.is_openai or endpoint.api_key is not None) and (endpoint.is_local or not offline)
    ]


def _with_keys(endpoints: Iterable[Endpoint], keys: Sequence[SecretStr], settings: Settings) -> list[Endpoint]:
    """Each with the key in the same place; OpenAI's own with OpenAI's key if it has no other."""
    complete, openai_key = [], settings.openai_api_key
    for index, endpoint in enumerate(endpoints):
        key = keys[index].get_secret_value() if index < len(keys) else ""
        if not key and endpoint.is_openai and openai_key is not None:
            key = openai_key.get_secret_value()
        if key and not (endpoint.is_secret or settings.allow_insecure_keys):
            raise SettingsError(
                f"{endpoint.keys_setting} has a key for {endpoint.base_url}, where everybody on the way could read it.",
                hint=f"Use https:// in {endpoint.urls_setting}, leave the key of that endpoint empty, or set "
                "VOICEMODE_ALLOW_INSECURE_KEYS=true if you trust everybody on the way.",
            )
        complete.append(replace(endpoint, api_key=key or None))
    return complete
