"""Starts mininet with so many hosts at one Linux bridge; prints the seconds that it took.

mininet's own program does the same behind a command line. It is not asked to stop: its host goes.
"""

import sys
import time

prefix, count = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, f"{prefix}/usr/lib/python3/dist-packages")

from mininet.net import Mininet  # noqa: E402 - it lies where the package was unpacked
from mininet.nodelib import LinuxBridge  # noqa: E402 - as above
from mininet.topo import SingleSwitchTopo  # noqa: E402 - as above

started = time.perf_counter()
net = Mininet(topo=SingleSwitchTopo(count), switch=LinuxBridge, controller=None)
net.start()
seconds = time.perf_counter() - started
lost = net.ping(net.hosts[:: count - 1], timeout="2")
if lost:
    sys.exit("its hosts do not reach each other")
print(seconds)
