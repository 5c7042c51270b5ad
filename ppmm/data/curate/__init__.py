"""Raw rows -> clean, split, documented rows: check, deduplicate, split, clean, describe, annotate. No Paddle."""

__all__: list[str] = []
