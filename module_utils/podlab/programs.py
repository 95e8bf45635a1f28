"""Programs that a host needs, and the Debian packages that bring them. None of them starts a service."""

GATEWAY = {"ip": "iproute2", "sysctl": "procps"}

NODE = {
    **GATEWAY,
    "hostname": "hostname",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "iptables-save": "iptables",
    "iptables-restore": "iptables",
    "bwrap": "bubblewrap",
    "catatonit": "catatonit",
    "s6-svscan": "s6",
    "execlineb": "execline",
    "busybox": "busybox",
    # What the image nicolaka/netshoot stands for.
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "ping": "iputils-ping",
}

BY_ROLE = {"node": NODE, "gateway": GATEWAY}
