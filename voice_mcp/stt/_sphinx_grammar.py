"""What the offline recogniser listens for: grammars in JSGF. Source: JSpeech Grammar Format, W3C note of 2000."""

from __future__ import annotations

from collections.abc import Iterable

COMMANDS = """#JSGF V1.0;
grammar commands;
public <said> = <answer> | <order> | <number>;
<answer> = yes | no | okay | yes please | no thanks;
<order> = stop | cancel | wait | wait a minute | hold on | repeat | repeat that | say that again | go on | over;
<number> = zero | <digit> | <teen> | <ten> [<digit>] | [one | a] hundred;
<digit> = one | two | three | four | five | six | seven | eight | nine;
<teen> = ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen;
<ten> = twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety;
"""
"""Answers, orders, and numbers up to a hundred: what can be said to an agent without a network."""


def grammar_of(phrases: Iterable[str]) -> str:
    """A grammar that takes one of these phrases; words in lower case, as the dictionary has them."""
    alternatives = " | ".join(" ".join(phrase.lower().split()) for phrase in phrases)
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <said> = {alternatives};\n"
