"""TensorBoard's event files: records with checksums around protocol buffers.

The formats are TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord) and the messages
``Event`` and ``Summary``; the checksum is CRC-32C (RFC 3720), masked.
"""

import os
import struct
import time
from typing import Any

_POLYNOMIAL = 0x82F63B78


def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_table: list[int] = []


def crc32c(data: bytes) -> int:
    """Return the CRC-32C checksum of ``data``.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if not _table:
        _table.extend(_make_table())
    value = 0xFFFFFFFF
    for byte in data:
        value = _table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes_field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


class EventWriter:
    """Appends events to a new file in a folder.

    Parameters
    ----------
    folder : str
        Created if need be.
    """

    def __init__(self, folder: str) -> None:
        import socket

        os.makedirs(folder, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{id(self)}.v2"
        self._file = open(os.path.join(folder, name), "ab")  # noqa: SIM115 - closed in close
        self._event(now, 0, _bytes_field(3, b"brain.Event:2"))
        self.flush()

    def _event(self, wall_time: float, step: int, what: bytes) -> None:
        event = b"\x09" + struct.pack("<d", wall_time) + b"\x10" + _varint(step) + what
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))

    def scalar(self, tag: str, value: Any, step: int) -> None:
        """Add a number."""
        number = b"\x15" + struct.pack("<f", float(value))
        summary = _bytes_field(1, _bytes_field(1, tag.encode()) + number)
        self._event(time.time(), step, _bytes_field(5, summary))

    def flush(self) -> None:
        """Bring all events to the file."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
