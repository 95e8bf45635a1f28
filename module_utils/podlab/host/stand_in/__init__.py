"""What runs in place of a program that no host has: the image is not in the catalogue.

``stand-in [--for=IMAGE] [--tcp=PORT,...] [--tls=PORT,...] [--udp=PORT,...] [--ends] [-- COMMAND...]``

With a COMMAND whose program is there it becomes that program. Only the container itself can tell: a volume, or an init
container that ran before, may have brought it. Else it listens where the pod says that something does, so that the
network of an application can be walked without the application; with ``--ends`` it ends at once.

A host runs a hundred copies. Hence generators on one epoll and the C modules below ``socket`` and ``ssl``, as agnhost
has them, instead of asyncio: that has 7 MiB a copy, and takes a sixth of a second to start. What few copies need, TLS
and HTTP/2, is imported when it is asked for.

It is a package in the clone and one file on a host (``controller/single_file.py``).
"""
