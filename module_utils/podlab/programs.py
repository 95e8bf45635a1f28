"""Programs that a host needs, and the Debian packages that bring them.

One of these packages has a service, nginx. Whoever installs it for podlab (``lab`` on this machine, the role
``programs`` on others) keeps that from starting, now and at the next boot.
"""

GATEWAY = {"ip": "iproute2", "sysctl": "procps"}

NODE = {
    **GATEWAY,
    "hostname": "hostname",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "iptables-save": "iptables",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "bwrap": "bubblewrap",
    "catatonit": "catatonit",
    "s6-svscan": "s6",
    "execlineb": "execline",
    # What images stand for, nicolaka/netshoot in the end.
    "busybox": "busybox",
    "nginx": "nginx",
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "ping": "iputils-ping",
    # For certificates of stand-ins.
    "openssl": "openssl",
}

PODS = ("catatonit", "bwrap", "s6-svscan", "execlineb", "busybox", "hostname", "nsenter", "unshare")
"""Those of ``NODE`` without which there are no pods at all."""

BY_ROLE = {"node": NODE, "gateway": GATEWAY}
