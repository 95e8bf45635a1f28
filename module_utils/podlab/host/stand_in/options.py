"""What a stand-in is told on its command line."""

from __future__ import annotations


class Options:
    """:raises SystemExit: it is another command line than that of ``stand-in``."""

    def __init__(self, words: list[str]) -> None:
        at = words.index("--") if "--" in words else len(words)
        self.command = words[at + 1 :]
        self.image = ""
        self.ends = False
        self.ports: dict[str, list[int]] = {"tcp": [], "tls": [], "udp": []}
        for word in words[:at]:
            name, _, value = word.partition("=")
            if word == "--ends":
                self.ends = True
            elif name == "--for":
                self.image = value
            elif name[2:] in self.ports and all(map(str.isdigit, value.split(","))):
                self.ports[name[2:]] = [int(port) for port in value.split(",")]
            else:
                raise SystemExit(f"stand-in: unknown option {word}")
