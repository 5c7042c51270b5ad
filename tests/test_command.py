"""How tools end."""

from __future__ import annotations

import pytest

from ppmm.command import run
from ppmm.engine.trainer import Interrupted
from ppmm.errors import ConfigError, DataError


def raising(error: BaseException) -> object:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("row 3 is empty"), 2, "error: row 3 is empty\n"),
        (ConfigError(["a.yaml:1 x: no", "a.yaml:2 y: no"]), 2, "error: a.yaml:1 x: no\na.yaml:2 y: no\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Interrupted(143), 143, "interrupted\n"),
    ],
)
def test_a_mistake_is_a_message_and_a_number(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(raising(error))  # type: ignore[arg-type]
    assert raised.value.code == code
    assert capsys.readouterr().err == text


def test_success_is_zero() -> None:
    with pytest.raises(SystemExit) as raised:
        run(lambda: None)
    assert raised.value.code == 0


def test_a_defect_of_ppmm_keeps_its_stack_trace() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: print(1 // 0))
