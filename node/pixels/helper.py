"""The process in which compressed frames are decoded; run as a program, never imported.

Decoders are foreign code on bytes from the network: some end their process when a codestream is broken. This process
holds nothing but one frame, has neither secret nor ledger, and prints nothing. It answers each request, two messages
(options as JSON; the frame), by two (properties as JSON, `{}` where the frame cannot be decoded; the samples).
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

_MEMORY = 8 << 30  # bytes of address space
_JPEG_PLUGIN = "pillow"


def main(descriptor: int) -> None:
    """Answer requests on a socket until its other end is closed."""
    # Sent to all processes they mean the node, which finishes what it has begun and then closes the socket.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    connection = Connection(descriptor)
    while True:
        try:
            options, frame = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except EOFError:
            return
        properties, samples = _answer(options, frame)
        connection.send_bytes(json.dumps(properties).encode())
        connection.send_bytes(samples)


def _answer(options: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        return _decode(frame, **options)
    except Exception:  # noqa: BLE001 -- the boundary around one frame
        return {}, b""


def _decode(frame: bytes, uid: str, plugin: str, **options: Any) -> tuple[dict[str, Any], bytes]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    source = encapsulate([frame], has_bot=False)
    pixels, properties = get_decoder(uid).as_array(source, index=0, raw=True, decoding_plugin=plugin, **options)
    found = {"photometric": str(properties["photometric_interpretation"]), "shape": pixels.shape, "adobe": None}
    if plugin == _JPEG_PLUGIN:
        from PIL import Image

        found["adobe"] = Image.open(BytesIO(frame)).info.get("adobe_transform")
    return found, pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


if __name__ == "__main__":
    main(int(sys.argv[1]))
