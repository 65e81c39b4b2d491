"""Libraries that raise, end the process, crash, hang or print do not take the process down that asks about them."""

from __future__ import annotations

import pytest

from pem_edge.runtime.diagnosis import asking, libraries
from tests.runtime.diagnosis.conftest import Write


def ask(seconds: float = 20.0) -> asking.Answer[dict[str, str]]:
    return asking.ask(libraries.__name__, "onnxruntime", dict[str, str], seconds)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("raise ImportError('libcudart.so.12:\\n no file')", "ImportError: libcudart.so.12: no file"),
        ("raise SystemExit('no license')", "SystemExit: no license"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import os; os._exit(0)", "it ended the process"),
        ("import os; os._exit(3)", "exit code 3, no message"),
        ("import ctypes; ctypes.string_at(0)", "crashed with signal 11 (SIGSEGV)"),
        ("import os; os.abort()", "crashed with signal 6 (SIGABRT)"),
        ("__version__ = 1 / 0", "ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", "crashed with signal 2 (SIGINT)"),
    ],
)  # fmt: skip
def test_a_broken_library_is_a_reason(code: str, failure: str, library: Write) -> None:
    library("onnxruntime", code)
    assert ask() == asking.Answer(failure=failure)


def test_a_library_that_hangs_is_given_up_with_what_it_started(library: Write) -> None:
    library("onnxruntime", "import subprocess; subprocess.run(['sleep', '100'])")
    assert ask(seconds=2.0).failure == "it did not end in time"


@pytest.mark.parametrize(
    "noise", ["print('hello')", "print('{}', end='')", "import sys; sys.stdout.close()", "import os; os.close(1)"]
)
def test_a_library_may_print_and_close_what_it_likes(noise: str, library: Write) -> None:
    code = f"{noise}\n__version__ = '1.2'\n"
    library("onnxruntime", code + "import atexit; atexit.register(lambda: __import__('os').write(2, b'bye'))")
    answer = ask()
    assert answer.content is not None
    assert (answer.content["version"], answer.failure) == ("1.2", None)


def test_a_crash_after_the_answer_is_told_beside_it(library: Write) -> None:
    crash = "import atexit, ctypes; atexit.register(lambda: ctypes.string_at(0))"
    library("onnxruntime", f"__version__ = '1.2'\n{crash}")
    answer = ask()
    assert answer.content is not None
    assert answer.failure == "at the end, crashed with signal 11 (SIGSEGV)"


def test_the_library_that_is_asked_is_the_one_that_this_process_would_import(library: Write) -> None:
    library("tqdm", "__version__ = 'mine'")
    answer = libraries.ask("tqdm").content
    assert answer is not None
    assert answer["version"] == "mine"
