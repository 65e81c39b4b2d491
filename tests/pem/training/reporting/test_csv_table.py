"""Tables of a run grow row by row, and go on where a snapshot was, whatever a kill left in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.pem.training.reporting.csv_table import CsvTable
from pem_edge.runtime.errors import OutputError


@pytest.fixture
def table(tmp_path: Path) -> CsvTable:
    return CsvTable(tmp_path / "table.csv", ("step", "loss", "pq"))


def test_rows_come_back_without_what_is_unknown(table: CsvTable) -> None:
    assert table.rows() == []
    table.truncate(5)
    assert not table.path.exists()
    table.append([1, 0.5, ""])
    table.append([2, "nan", 40])
    assert table.rows() == [{"step": 1, "loss": 0.5}, {"step": 2, "pq": 40}]
    assert table.path.read_text().splitlines() == ["step,loss,pq", "1,0.5,", "2,nan,40"]


def test_later_rows_and_halves_of_rows_are_deleted(table: CsvTable) -> None:
    for step in (1, 2, 3):
        table.append([step, 1, 2])
    with table.path.open("a") as file:
        file.write("4,1")
    table.truncate(2)
    table.append([3, 7, 8])
    assert [row["step"] for row in table.rows()] == [1, 2, 3]
    assert table.path.read_text().count("step") == 1


@given(st.binary(max_size=200))
def test_a_damaged_table_has_few_rows_and_no_other_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    table = CsvTable(tmp_path_factory.mktemp("tables") / "table.csv", ("step", "loss"))
    table.path.write_bytes(b"step,loss\r\n" + data)
    try:
        assert all(row["step"] >= 0 for row in table.rows())
        table.truncate(10)
    except OutputError as error:
        assert "cannot go on with" in str(error)  # noqa: PT017  # either is right


def test_a_table_that_cannot_be_written_is_an_error_of_one_line(table: CsvTable) -> None:
    table.path.mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*table\.csv: Is a directory"):
        table.append([1, 2, 3])
    with pytest.raises(OutputError, match=r"cannot go on with .*table\.csv: Is a directory; remove the file"):
        table.truncate(1)
