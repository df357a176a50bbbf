"""The door of a process that speaks: what key bindings and other programs of the same user can say to it.

What the command line uses of this room loads in a few milliseconds: no dataclasses, no pathlib, no asyncio.
"""
