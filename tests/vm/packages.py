"""Packages for machines that reach nothing else: http://10.100.0.254:3142/ is the mirror of this machine, and a proxy
for the mirrors that a cloud image has in its own sources."""

from __future__ import annotations

import ctypes
import http.server
import shutil
import socketserver
import threading
import urllib.error
import urllib.request
from typing import Any

CLONE_NEWNET = 0x40000000  # sched.h
ADDRESS, PORT = "10.100.0.254", 3142
PARTS = ("/dists/", "/pool/")  # of an archive of packages; nothing else is handed out


def serve(mirror: str, outside: int) -> http.server.HTTPServer:
    """Hand out what archives of packages have, and nothing else, until the server is shut down.

    :param outside: a descriptor of the network namespace that the mirror is reached from. Each call changes into it in
        a thread of its own; the listening socket stays where it was made. A proxy program was rejected: it would need
        rules about whom it serves, and an end.
    """

    class Mirror(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if ctypes.CDLL(None, use_errno=True).setns(outside, CLONE_NEWNET):
                self.send_error(500, "no way out")
                return
            headers = {key: self.headers[key] for key in ("If-Modified-Since", "Range") if key in self.headers}
            if not any(part in self.path for part in PARTS):
                self.send_error(403)
                return
            url = self.path if self.path.startswith("http://") else f"{mirror}{self.path}"
            asked = urllib.request.Request(url, headers=headers)
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    self._begin(answer.status, answer.headers)
                    shutil.copyfileobj(answer, self.wfile)
            except urllib.error.HTTPError as error:
                self._begin(error.code, {"Content-Length": "0"})
            except OSError as error:
                self.send_error(502, str(error))

        def _begin(self, status: int, headers: Any) -> None:
            self.send_response(status)
            for key in ("Content-Length", "Content-Type", "Content-Range", "Last-Modified"):
                if key in headers:
                    self.send_header(key, headers[key])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server((ADDRESS, PORT), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
