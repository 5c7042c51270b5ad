"""Losses by which a student learns from a teacher, and the objective that joins them."""

__all__: list[str] = []
