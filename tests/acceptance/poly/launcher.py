"""Runs `examples/poly_here.py` where no socket leaves the machine: `python launcher.py ARGUMENT...`"""

from __future__ import annotations

import runpy
import socket
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def _stay_here() -> None:
    plain = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"only this machine is reached, not {address[0]}")
        plain(self, address)

    looked_up = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise socket.gaierror(f"only this machine is reached, not {host}")
        return looked_up(host, *rest, **named)

    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.getaddrinfo = look_up


if __name__ == "__main__":
    _stay_here()
    runpy.run_path(str(HERE.parents[3] / "examples" / "poly_here.py"), run_name="__main__")
