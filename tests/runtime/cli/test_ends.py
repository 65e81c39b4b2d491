"""Commands end in good order whoever ends them, and whatever their streams lead to. Real processes and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pem_edge.runtime.cli import output, signals
from pem_edge.runtime.errors import OutputError
from tests.helpers.processes import started
from tests.runtime.helpers.summaries import without_summary

PEM_RUN = [sys.executable, "-m", "pem_edge.runtime.cli.run"]
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
PATIENCE = 60.0
pytestmark = pytest.mark.usefixtures("hangup_heard")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path, 2000)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((64, 128, 3), 80 * index, np.uint8))
    return folder


def make_video(folder: Path, frames: int) -> Path:
    path = folder / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (128, 64))
    for value in range(frames):
        writer.write(np.full((64, 128, 3), value % 255, np.uint8))
    writer.release()
    return path


def count_frames(out: Path) -> int:
    """Return the number of frames in each of the files of a run."""
    counts = {
        len(list((out / "drive_panoptic").iterdir())),
        len(json.loads((out / "panoptic.json").read_bytes())["annotations"]),
        round(cv2.VideoCapture(str(out / "drive_overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)),
    }
    (frames,) = counts
    return frames


def caught(process: int) -> int:
    """Return the set of signals that a process handles, as bits."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


def wait_until(happened: Callable[[], bool]) -> None:
    start = time.monotonic()
    while not happened():
        assert time.monotonic() - start < PATIENCE
        time.sleep(0.05)


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_keeps_what_was_done(number: signal.Signals, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*PEM_RUN, "demo", str(video), "-o", str(out), "--save", "overlay,panoptic,json"]
    with started(command, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: len(list(out.glob("drive_panoptic/*.png"))) > 2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == ENDS[number]
    assert errors.splitlines()[-1] == "pem-run: interrupted"
    names = {path.name for path in out.iterdir()}
    assert names == {"drive_overlay.mp4", "drive_panoptic", "panoptic.json"}
    assert count_frames(out) > 2


@pytest.mark.parametrize("number", ENDS)
def test_a_second_signal_ends_native_code_that_never_returns(number: signal.Signals) -> None:
    script = """if True:
        import hashlib
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        def hang(_):
            print("here", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # handlers in Python wait for native code
        console.run(Parser("pem-try"), vars, hang, [])
        """
    with started([sys.executable, "-c", script]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1)  # into the call

        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not caught(process.pid) & (1 << (number - 1)))
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number


@pytest.mark.parametrize("number", ENDS)
def test_an_end_that_a_library_takes_for_its_own_failure_is_an_end(number: signal.Signals) -> None:
    """As modules in C++ do while they are imported."""
    script = """if True:
        import os, sys
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        from pem_edge.runtime.errors import BackendError
        def initialize(options):
            try:
                os.kill(os.getpid(), int(sys.argv[1]))
            except KeyboardInterrupt as interruption:
                raise ImportError("initialization failed") from interruption
        def use(options):
            try:
                initialize(options)
            except ImportError as error:
                raise BackendError(f"the library cannot be imported ({error})") from error
        sys.exit(console.run(Parser("pem-try"), vars, use, []))
        """
    done = subprocess.run(
        [sys.executable, "-c", script, str(int(number))], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (ENDS[number], "pem-try: interrupted\n")


@pytest.mark.parametrize(("error", "is_end"), [(TypeError("odd"), True), (OutputError("the disk is full"), False)])
def test_errors_of_libraries_on_the_way_out_are_the_end_and_ours_are_errors(error: Exception, is_end: bool) -> None:
    error.__context__ = signals.AskedToEnd()
    assert signals.caused(error) is is_end


def test_an_error_that_is_its_own_cause_is_an_error() -> None:
    error = ValueError("odd")
    error.__cause__ = error
    assert not signals.caused(error)


def run_interrupted(method: str, frame: int, frames: int, number: signal.Signals, folder: Path) -> int:
    """Segment ``frames`` frames with a signal just before ``VideoFile.method``, once there are ``frame`` frames.

    Returns:
        The number of frames in each of the files.
    """
    script = """if True:
        import os, sys
        from pem_edge.runtime.results import video_file
        from pem_edge.runtime.cli.run import main
        name, frame, number, *arguments = sys.argv[1:]
        act = getattr(video_file.VideoFile, name)
        def interrupted(self, *images):
            if self.frames == int(frame):
                os.kill(os.getpid(), int(number))
            act(self, *images)
        setattr(video_file.VideoFile, name, interrupted)
        sys.exit(main(["demo", *arguments, "--save", "overlay,panoptic,json"]))
        """
    video, out = make_video(folder, frames), folder / "out"
    command = [sys.executable, "-c", script, method, str(frame), str(int(number)), str(video), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (ENDS[number], "pem-run: interrupted")
    return count_frames(out)


@pytest.mark.parametrize("number", ENDS)
def test_a_frame_is_in_all_files_or_in_none(number: signal.Signals, tmp_path: Path) -> None:
    """A signal at any moment of saving lets that go on to its end."""
    assert run_interrupted("write", 3, 20, number, tmp_path) == 4


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_while_files_are_finished_lets_them_be_finished(number: signal.Signals, tmp_path: Path) -> None:
    assert run_interrupted("_finish", 5, 5, number, tmp_path) == 5


@pytest.mark.parametrize("gap", [0.0, 0.0005, 0.01, 0.1])
def test_a_signal_that_comes_twice_at_once_is_one(gap: float, video: Path, tmp_path: Path) -> None:
    """As `timeout` does, which signals its child and then the group, and whatever passes a signal on."""
    out = tmp_path / "out"
    command = [*PEM_RUN, "demo", str(video), "-o", str(out), "--save", "overlay,panoptic,json"]
    with started(command, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: len(list(out.glob("drive_panoptic/*.png"))) > 2)
        process.send_signal(signal.SIGTERM)
        time.sleep(gap)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors.splitlines()[-1]) == (143, "pem-run: interrupted")
    assert count_frames(out) > 2
    assert {path.name for path in out.iterdir()} == {"drive_overlay.mp4", "drive_panoptic", "panoptic.json"}


def test_ctrl_c_while_classes_are_defined_ends_with_its_exit_code(tmp_path: Path) -> None:
    """Dataclasses and named tuples are defined by running text."""
    (tmp_path / "command.py").write_text("""if True:
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        def act(_):
            exec("import os, signal; os.kill(os.getpid(), signal.SIGINT); print(1)")
        raise SystemExit(console.run(Parser("pem-try"), vars, act, []))
        """)
    command = [sys.executable, "-m", "command"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (130, "pem-try: interrupted\n")


def test_what_was_done_is_reported(video: Path, tmp_path: Path) -> None:
    command = [*PEM_RUN, "demo", str(video), "-o", str(tmp_path / "out"), "--save", "panoptic", "--json"]
    with started(command) as process:
        wait_until(lambda: len(list(tmp_path.glob("out/drive_panoptic/*.png"))) > 2)
        process.send_signal(signal.SIGTERM)
        report, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert len(json.loads(report)["images"]) == len(list(tmp_path.glob("out/drive_panoptic/*.png"))) > 2


def test_forked_workers_end_quietly_when_they_are_told_to() -> None:
    script = """if True:
        import multiprocessing
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        def act(_):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(sum(pool.map(abs, range(4))), flush=True)
            return {}
        raise SystemExit(console.run(Parser("pem-try"), vars, act, []))
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")


@pytest.mark.parametrize("command", ["bench", "eval", "export", "run", "train"])
def test_ctrl_c_while_a_command_is_imported_is_quiet(command: str) -> None:
    script = f"""if True:
        import builtins, os, signal
        from pem_edge import commands
        real = builtins.__import__
        def importing(name, *rest):
            if name == "argparse":
                os.kill(os.getpid(), signal.SIGINT)
            return real(name, *rest)
        builtins.__import__ = importing
        commands.pem_{command}()
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_is_ignored_from_outside_stays_ignored(number: signal.Signals) -> None:
    script = f"""if True:
        import signal
        signal.signal({number}, signal.SIG_IGN)
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        def action(_):
            signal.raise_signal({number})
            return {{}}
        raise SystemExit(console.run(Parser("pem-try"), vars, action, []))
        """
    assert subprocess.run([sys.executable, "-c", script], timeout=PATIENCE).returncode == 0


def shell(line: str, *arguments: object) -> tuple[int, str]:
    """Run ``line`` in bash, with Python as "$0" and ``arguments`` as "$1" and so on.

    Returns:
        The exit code of the first command in the pipe, and what was written on standard error.
    """
    command = ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}", sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, without_summary(done.stderr).strip()


RUN = '"$0" -m pem_edge.runtime.cli.run demo "$1" -o "$2" --save panoptic'


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (f"{RUN} | head -1", 0, ""),
        (f"{RUN} > /dev/full", 1, "pem-run: cannot write to standard output: No space left on device"),
        (f"{RUN} --json > /dev/full", 1, "pem-run: cannot write to standard output: No space left on device"),
        (f"{RUN} 2> /dev/full", 0, ""),
        (f"{RUN} >&-", 0, ""),
        (f"{RUN} --json >&-", 0, ""),
        (f"{RUN} 2>&-", 0, ""),
        (f"{RUN} <&-", 0, ""),
        (f"{RUN} <&- >&- 2>&-", 0, ""),
    ],
)
def test_streams_that_lead_nowhere_do_not_stop_the_work(
    line: str, code: int, message: str, pictures: Path, tmp_path: Path
) -> None:
    assert shell(line, pictures, tmp_path / "out") == (code, message)
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


@pytest.mark.parametrize("target", ["| true", ">&-"])
def test_help_ends_quietly_where_nobody_reads(target: str) -> None:
    assert shell(f'"$0" -m pem_edge.runtime.cli.run --help {target}') == (0, "")


def test_names_cannot_command_the_terminal(pictures: Path, tmp_path: Path) -> None:
    (pictures / "0.png").rename(pictures / "a\x1b[31m\rb\nc.png")
    (pictures / "1.png").rename(os.fsdecode(bytes(pictures) + b"/d\xff.png"))
    done = subprocess.run(
        [*PEM_RUN, "demo", pictures, "-o", tmp_path / "out"],
        capture_output=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    lines = without_summary(done.stdout.decode("ascii")).splitlines()
    assert len(lines) == 3
    assert any(r"a\x1b[31m\rb\nc.png: " in line for line in lines)
    assert any(r"d\udcff.png: " in line for line in lines)


def test_only_one_module_prints() -> None:
    """Everything else goes through it, so that names from outside are made printable."""
    root = Path(output.__file__).parents[2]
    printing = {
        path.relative_to(root).as_posix()
        for room in ("runtime", "pem", "export", "calibration")
        for path in (root / room).rglob("*.py")
        if any(line.strip().startswith("print(") for line in path.read_text().splitlines())
    }
    assert printing == {
        "runtime/cli/output.py",
        "runtime/cli/console.py",  # JSON, which escapes what terminals obey
        "runtime/cli/benchmarking/options.py",
        "pem/training/interruption.py",  # a fixed text
        "runtime/inference/postprocess/native/build.py",  # a program of its own, for developers
    }
