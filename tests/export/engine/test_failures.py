"""What TensorRT says in passing becomes one line with the right cure."""

from __future__ import annotations

import pytest

from pem_edge.export.engine.failures import failure


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("[x.cpp::getErrorStr::132] Error Code 2: OutOfMemory (Requested size was 9472900 bytes.)", "--workspace"),
        ("Error Code 1: Cuda Runtime (out of memory)", "--workspace"),
        (
            "Error Code 10: Internal Error (Could not find any implementation for node {ForeignNode} due to "
            "insufficient workspace. See verbose log for requested sizes.)",
            "--workspace",
        ),
        ("Error Code 10: Internal Error (Could not find any implementation for node A)", "--optimization-level"),
        ("PemDeformConv at a/b: creator && Plugin not found, are the name, version and namespace correct?", "plugin"),
        ("Foo at a/b: creator && Plugin not found", "--deform-conv gather"),
        ("Cannot compile operation 'a/MatMul' for Turing (SM75): FP32 GEMM is not supported.", "7.5"),
        ("Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version is insufficient)", "nvidia-smi"),
        ("Error Code 4: Internal Error", "report it"),
    ],
)
def test_each_reason_has_its_cure(reason: str, cure: str) -> None:
    message = str(failure("TensorRT 10.3.0 cannot build x.engine", reason))
    said, _, advice = message.rpartition("): ")
    assert said.startswith("TensorRT 10.3.0 cannot build x.engine (")
    assert "x.cpp" not in said
    assert cure in advice
    assert "\n" not in message


def test_a_flood_of_words_is_cut() -> None:
    assert len(str(failure("it cannot", "word\n" * 1000))) < 500
