"""Building blocks that several encoders share."""

__all__: list[str] = []
