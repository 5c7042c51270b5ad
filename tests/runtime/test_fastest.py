"""The race of back ends, by a clock of its own."""

from __future__ import annotations

from ppmm.runtime.fastest import CALLS, ROUNDS, fastest


def test_median_of_counted_calls_the_fastest_first() -> None:
    now = [0.0]
    took = {"slow": 0.003, "fast": 0.001}
    calls = {"slow": 0, "fast": 0}

    def graph(name: str) -> None:
        calls[name] += 1
        now[0] += took[name] if calls[name] % (CALLS + 1) != 1 else 9.0  # the first call of a turn is not counted

    found = fastest({name: lambda name=name: graph(name) for name in took}, clock=lambda: now[0])
    assert list(found) == ["fast", "slow"]
    assert round(found["fast"], 6) == 1.0 and round(found["slow"], 6) == 3.0
    assert calls == {"slow": ROUNDS * (CALLS + 1), "fast": ROUNDS * (CALLS + 1)}
