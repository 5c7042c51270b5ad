"""Outputs of a model -> answers, with NumPy alone; the same in training tools and serving."""

__all__: list[str] = []
