"""Start the kubelet."""

import signal

# SIGHUP only asks for a look at the pods, but would be deadly until the event loop has its handlers.
signal.signal(signal.SIGHUP, signal.SIG_IGN)

from .node import main  # noqa: E402 - it takes a while, in which SIGHUP is ignored already

main()
