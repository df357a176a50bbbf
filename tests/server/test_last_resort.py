"""What can neither answer nor end as it should ends all the same."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from voice_mcp.last_resort import EXIT_CODE

LIMIT_S = 30.0


def ended(code: str) -> subprocess.CompletedProcess[str]:
    """Run that in a process of its own, with threads and the last resort at hand."""
    whole = "import threading\nfrom voice_mcp.errors import VoiceError\n"
    whole += "from voice_mcp.last_resort import ended_in_any_case\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_a_thread_that_dies_before_it_has_begun_ends_the_process_that_waits_for_it() -> None:
    process = ended("""
        class Stillborn(threading.Thread):
            def _bootstrap_inner(self):
                raise MemoryError

        with ended_in_any_case():
            Stillborn().start()
    """)
    assert process.returncode == EXIT_CODE
    assert "no memory" in process.stderr


def test_a_failure_nobody_expected_ends_the_process_whatever_its_threads_do() -> None:
    process = ended("""
        threading.Thread(target=threading.Event().wait).start()
        with ended_in_any_case():
            raise SystemError("the loop fell apart")
    """)
    assert process.returncode == EXIT_CODE
    assert "the loop fell apart" in process.stderr


WITHOUT_MEMORY = """
        import asyncio, os, sys
        from voice_mcp.last_resort import WantOfMemory

        read, write = os.pipe()
        os.write(write, b"never read")
        failures = 0

        def fail():
            global failures
            failures += 1
            raise MemoryError

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(WantOfMemory())
"""


def test_a_loop_that_fails_for_want_of_memory_over_and_over_ends_the_process_and_says_so_in_few_words() -> None:
    process = ended(f"""{WITHOUT_MEMORY}
            loop.add_reader(read, fail)  # it stays ready to be read
            await asyncio.Event().wait()

        asyncio.run(main())
    """)
    assert process.returncode == EXIT_CODE
    assert process.stderr.endswith("the server ends. Close other programs first.\n")
    assert process.stderr.count("Traceback") == 1


def test_a_loop_that_fails_once_for_want_of_memory_goes_on() -> None:
    process = ended(f"""{WITHOUT_MEMORY}
            done = asyncio.Event()
            loop.call_soon(fail)
            loop.call_soon(done.set)
            await done.wait()

        asyncio.run(main())
        print("goes on after", failures)
    """)
    assert (process.returncode, process.stdout) == (0, "goes on after 1\n")
    assert "MemoryError" in process.stderr


@pytest.mark.parametrize(("raised", "code"), [("SystemExit(3)", 3), ("VoiceError('told')", 1)])
def test_an_end_that_is_meant_is_left_alone(raised: str, code: int) -> None:
    process = ended(f"""
        with ended_in_any_case():
            raise {raised}
    """)
    assert process.returncode == code


def test_what_else_python_cannot_raise_is_printed_as_ever() -> None:
    process = ended("""
        class Broken:
            def __del__(self):
                raise ValueError("in vain")

        with ended_in_any_case():
            Broken()
            print("goes on")
    """)
    assert (process.returncode, process.stdout) == (0, "goes on\n")
    assert "in vain" in process.stderr
