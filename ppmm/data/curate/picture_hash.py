"""Perceptual hashes of grey pictures: photographs, and spectrograms of recordings."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["DESCRIPTOR_SIDE", "Fingerprint", "agreement", "hash_picture", "pack", "unpack"]

SIDE = 32
HASH_SIDE = 8
DESCRIPTOR_SIDE = 16
Fingerprint = tuple[int, bytes]
"""64-bit hash, and the `DESCRIPTOR_SIDE`^2 grey values 0..255 that confirm a match."""


def hash_picture(grey: np.ndarray) -> Fingerprint:
    """pHash (Zauner 2010): signs of the low frequencies of a 32 x 32 DCT about their median, 64 bits, row by row.

    Args:
        grey: [H, W], uint8 or float32.

    Returns:
        The hash, and the picture at 16 x 16 stretched to 0..255.
    """
    small = cv2.resize(np.asarray(grey, dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    # The first row and column hold brightness and mere gradients; Zauner leaves them out.
    low = cv2.dct(small)[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1].reshape(-1)
    bits = low > np.median(low)
    descriptor = cv2.resize(small, (DESCRIPTOR_SIDE, DESCRIPTOR_SIDE), interpolation=cv2.INTER_AREA)
    low_value, high_value = float(descriptor.min()), float(descriptor.max())
    scaled = (descriptor - low_value) * (255.0 / max(high_value - low_value, 1e-6))
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), np.rint(scaled).astype(np.uint8).tobytes()


def agreement(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Pearson correlation of pairs of descriptors.

    Args:
        one: uint8 [N, D].
        two: uint8 [N, D].

    Returns:
        float [N], -1..1; 1 where both are flat, 0 where one is.
    """
    a, b = (part.astype(np.float32) - part.mean(axis=1, keepdims=True, dtype=np.float32) for part in (one, two))
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    both_flat = ~a.any(axis=1) & ~b.any(axis=1)
    return np.where(both_flat, 1.0, (a * b).sum(axis=1) / np.maximum(norms, 1e-6))


def pack(fingerprint: Fingerprint) -> str:
    """As text for a journal."""
    return f"{fingerprint[0]:016x}{fingerprint[1].hex()}"


def unpack(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes uint64 [N] and descriptors uint8 [N, 256] of packed texts."""
    hashes = np.array([int(text[:16], 16) for text in texts], dtype=np.uint64)
    size = DESCRIPTOR_SIDE * DESCRIPTOR_SIDE
    return hashes, np.frombuffer(bytes.fromhex("".join(text[16:] for text in texts)), dtype=np.uint8).reshape(-1, size)
