"""How to run something on a host: an embedded one, one over SSH, this machine."""

from .call import Call, CommandResult, HostUnreachable, on_terminal
from .host import Embedded, Host, Local, Ssh
from .status import ask

__all__ = ["Call", "CommandResult", "Embedded", "Host", "HostUnreachable", "Local", "Ssh", "ask", "on_terminal"]
