"""Config -> objects, one file per command: the only place where everything is wired."""

__all__: list[str] = []
