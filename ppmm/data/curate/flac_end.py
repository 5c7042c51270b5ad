"""Whether a FLAC file has its end: its decoder says the same of a cut file and of a damaged one."""

from __future__ import annotations

__all__ = ["flac_is_cut"]

SYNC = (b"\xff\xf8", b"\xff\xf9")
LONGEST = 1 << 17
"""Bytes from the end in which the last frame must begin."""


def flac_is_cut(data: bytes) -> bool:
    """Whether no frame ends with the file: a frame's last two bytes are the CRC-16 of the rest (RFC 9639, 9.3)."""
    tail = data[-LONGEST:]
    end = len(tail)
    while (start := max(tail.rfind(mark, 0, end) for mark in SYNC)) >= 0:
        if _crc16(tail[start:-2]) == int.from_bytes(tail[-2:], "big"):
            return False
        end = start + 1
    return True


def _crc16(data: bytes) -> int:
    """Polynomial 0x8005, initial value 0, most significant bit first."""
    value = 0
    for byte in data:
        value = ((value << 8) & 0xFFFF) ^ _TABLE[(value >> 8) ^ byte]
    return value


def _entry(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = ((value << 1) ^ 0x8005 if value & 0x8000 else value << 1) & 0xFFFF
    return value


_TABLE = tuple(_entry(byte) for byte in range(256))
