"""Making trained models smaller and faster, each step checked: what it promised is what it did."""

__all__: list[str] = []
