"""Checkpoint -> bundle: the static graph, the folder that carries it, the proof that it agrees with the model."""

__all__: list[str] = []
