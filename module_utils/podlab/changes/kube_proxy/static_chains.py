"""The chains that kube-proxy has with or without services, and the ways into them."""

from __future__ import annotations

MASQUERADE_MARK = "0x4000/0x4000"
"""Packets that leave with the node's address, so that the answer comes back here."""

_NEW = "-m conntrack --ctstate NEW "
_FIREWALL = f'{_NEW}-m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL'
_PORTALS = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
_EXTERNAL = f'{_NEW}-m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES'

JUMPS: dict[str, dict[str, list[str]]] = {
    "mangle": {},
    "filter": {
        "INPUT": [
            "-j KUBE-FIREWALL",
            _FIREWALL,
            '-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
            _EXTERNAL,
        ],
        "FORWARD": [
            _FIREWALL,
            '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
            f"{_NEW}{_PORTALS}",
            _EXTERNAL,
        ],
        "OUTPUT": ["-j KUBE-FIREWALL", _FIREWALL, f"{_NEW}{_PORTALS}"],
    },
    "nat": {
        "PREROUTING": [_PORTALS],
        "OUTPUT": [_PORTALS],
        "POSTROUTING": ['-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'],
    },
}
"""Table -> built-in chain -> rules in their order. kube-proxy puts each before all others, the first one last."""


def chains(localhost: bool, drops_invalid: bool = True) -> dict[str, dict[str, list[str]]]:
    """Table -> chain -> rules of a node without services.

    :param localhost: whether node ports answer at 127.0.0.1. It takes ``route_localnet``, which lets neighbours send
        to this node's 127.0.0.0/8 as well; KUBE-FIREWALL keeps them out. (On a cluster the kubelet wants that chain
        too, so it is there in any case.)
    """
    guard = (
        '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )
    return {
        # Nobody jumps there. Where it is gone, somebody has flushed the table.
        "mangle": {"KUBE-PROXY-CANARY": []},
        "filter": {
            "KUBE-EXTERNAL-SERVICES": [],
            "KUBE-FIREWALL": [guard] if localhost else [],
            "KUBE-FORWARD": [
                # Out of the window: passed on untranslated, it would make the client reset its connection.
                *(["-m conntrack --ctstate INVALID -j DROP"] if drops_invalid else []),
                f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {MASQUERADE_MARK} -j ACCEPT',
                '-m comment --comment "kubernetes forwarding conntrack rule" '
                "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            ],
            "KUBE-NODEPORTS": [],
            "KUBE-PROXY-CANARY": [],
            "KUBE-PROXY-FIREWALL": [],
            "KUBE-SERVICES": [],
        },
        "nat": {
            "KUBE-MARK-MASQ": [f"-j MARK --set-xmark {MASQUERADE_MARK}"],
            "KUBE-NODEPORTS": [],
            "KUBE-POSTROUTING": [
                f"-m mark ! --mark {MASQUERADE_MARK} -j RETURN",
                # Off again: the packet may pass here once more.
                "-j MARK --set-xmark 0x4000/0x0",
                '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
            ],
            "KUBE-PROXY-CANARY": [],
            "KUBE-SERVICES": [],
        },
    }
