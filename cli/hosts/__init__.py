"""How to run something on a host: an embedded one, one over SSH, this machine."""

from .call import Call, Said, Silent, on_terminal
from .host import Embedded, Host, Local, Ssh
from .status import ask

__all__ = ["Call", "Embedded", "Host", "Local", "Said", "Silent", "Ssh", "ask", "on_terminal"]
