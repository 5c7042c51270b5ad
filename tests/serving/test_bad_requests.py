"""The bad requests of the load test: of every kind, the same for a seed."""

from __future__ import annotations

from collections import Counter

from ppmm.serving.bad_requests import bad_calls

SAMPLE = {"image": bytes(range(256)) * 4, "audio": b"RIFF" + bytes(500), "text": "which digit?"}


def test_every_kind_by_a_seed() -> None:
    calls = list(bad_calls("digits", SAMPLE, 220, 1000))
    kinds = Counter(call.kind for call in calls)
    assert kinds.pop("too large") == 1 and set(kinds.values()) == {20} and len(kinds) == 10
    assert calls == list(bad_calls("digits", SAMPLE, 220, 1000))
    assert calls != list(bad_calls("digits", SAMPLE, 220, 1000, seed=1))
    assert [len(call.body) for call in calls if call.kind == "too large"] == [1001]
    for call in calls:
        assert call.path.startswith(("/predict?model=digits", "/v2/models/")) and "content-type" in call.headers
