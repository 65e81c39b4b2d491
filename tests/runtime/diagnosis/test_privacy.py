"""What must not be pasted in public is not in a report."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pem_edge.runtime.diagnosis import privacy
from pem_edge.runtime.diagnosis.schema import Finding
from pem_edge.runtime.diagnosis.sections import surroundings

TEXTS = st.text(string.ascii_letters + string.digits + "-_/+=.", min_size=6, max_size=40)


def scrubbed(text: str) -> str:
    return privacy.scrub(Finding(name="any", value=text)).value


@pytest.fixture(autouse=True)
def someone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/marie")
    monkeypatch.setenv("USER", "marie")
    monkeypatch.setattr("socket.gethostname", lambda: "lab-7.example.org")


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/marie/.cache/pem-edge", "~/.cache/pem-edge"),
        ("pip install -e '/home/marie/my src/pem-edge[ort]'", "pip install -e ~/'my src/pem-edge[ort]'"),
        ("/home/marie, /home/mariela/x and /home/marie-b", "~, /home/USER/x and /home/USER"),
        ("/home/pierre/x and /Users/pierre/y", "/home/USER/x and /Users/USER/y"),
        ("/scratch/marie/data, /scratch/marie2", "/scratch/USER/data, /scratch/marie2"),
        ("cannot reach lab-7.example.org or lab-7: refused", "cannot reach HOST or HOST: refused"),
        ("https://me:pass@internal.corp/simple", "https://HOST/simple"),
        ("'x @ https://github.com/a.whl?token=abc#egg' -> y?", "'x @ https://github.com/a.whl?...' -> y?"),
        ("git+https://ghp_abc@github.com/a/b", "git+https://github.com/a/b"),
        ("the MARK \x1b[31mred", "the MARK \\x1b[31mred"),
    ],
)
def test_private_names_are_replaced(text: str, public: str) -> None:
    assert scrubbed(text) == public


@given(secret=TEXTS.filter(lambda text: not text.startswith("/")), before=st.text(max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_of_secret_variables_never_appear(secret: str, before: str) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MY_API_KEY", secret)
        environment.setenv("HF_TOKEN", f"{secret}-longer")
        shown = scrubbed(f"{before}: KeyError: {secret} {secret}-longer")
        assert secret not in shown.replace("(hidden)", "")
        assert secret not in surroundings._variables()["variables"].value


@given(value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=13, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_relevant_variables_only_short_numbers_and_switches_are_shown(value: str) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ORT_SOMETHING", value)
        environment.setenv("OMP_NUM_THREADS", "4")
        shown = surroundings._variables()["variables"].value
        assert value not in shown
        assert "ORT_SOMETHING (set)" in shown
        assert "OMP_NUM_THREADS=4" in shown
