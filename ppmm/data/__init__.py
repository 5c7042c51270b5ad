"""Rows -> samples -> batches: datasets, preparation, collation, sampling, loading."""

__all__: list[str] = []
