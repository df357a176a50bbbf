"""The pipe's messages, however the pipe cuts them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.pipe.wire import Command, Unpacker, pack, pack_json

MESSAGES = st.lists(st.tuples(st.sampled_from(Command), st.binary(max_size=300)), max_size=8)


@given(messages=MESSAGES, data=st.data())
def test_messages_come_out_as_they_went_in_however_the_stream_is_cut(
    messages: list[tuple[Command, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(pack(command, payload) for command, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    unpacker = Unpacker()
    out = [message for start, end in pairwise([0, *cuts, len(stream)]) for message in unpacker.feed(stream[start:end])]

    assert out == messages


def test_one_byte_at_a_time_is_enough() -> None:
    unpacker = Unpacker()
    stream = pack(Command.AUDIO, b"frames") + pack_json(Command.STOP, n=7)
    out = [message for value in stream for message in unpacker.feed(bytes([value]))]

    assert [command for command, _ in out] == [Command.AUDIO, Command.STOP]
    assert out[0][1] == b"frames"
    assert json.loads(out[1][1]) == {"n": 7}


def test_a_view_is_packed_without_its_surroundings() -> None:
    frames = memoryview(b"0123456789")

    assert pack(Command.AUDIO, frames[2:4]) == pack(Command.AUDIO, b"23")


def test_half_a_message_is_held_back() -> None:
    unpacker = Unpacker()

    assert list(unpacker.feed(pack(Command.AUDIO, b"frames")[:-1])) == []


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        list(Unpacker().feed(b"\x63" + bytes(4)))
