#!/bin/sh
# Takes away what `./lab script node1` makes, or podlab itself on that host.
# Containers are ended at once: nobody waits for their terminationGracePeriodSeconds.

set -u  # and on after an error: what is not there need not go
umask 022
cd /
export PATH=$PATH:/usr/sbin:/sbin


# --- Undo: Services: kube-proxy's rules -----------------------------------------------------------------------------

# What a chain guards, here or in a section below, is as it was before the chain goes.
sysctl -w net.ipv4.conf.all.route_localnet=0

# The health checks.
s6-svc -wd -d /run/podlab/services/kube-proxy && rm -r /run/podlab/services/kube-proxy && s6-svscanctl -an /run/podlab/services

iptables-restore --wait 5 --noflush <<'END'
*mangle
:KUBE-PROXY-CANARY - [0:0]
-X KUBE-PROXY-CANARY
COMMIT
END

iptables-restore --wait 5 --noflush <<'END'
*filter
:KUBE-SERVICES - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
-D INPUT -j KUBE-FIREWALL
-D INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-D INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-D INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-D FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-D FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-D OUTPUT -j KUBE-FIREWALL
-D OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-D OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-X KUBE-SERVICES
-X KUBE-PROXY-FIREWALL
-X KUBE-PROXY-CANARY
-X KUBE-NODEPORTS
-X KUBE-FORWARD
-X KUBE-FIREWALL
-X KUBE-EXTERNAL-SERVICES
COMMIT
END

iptables-restore --wait 5 --noflush <<'END'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-EXT-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-SEP-WWTEUTNEJI6BLN3E - [0:0]
:KUBE-SEP-CI6R6YSV47TRKBQ6 - [0:0]
:KUBE-MARK-MASQ - [0:0]
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-X KUBE-SERVICES
-X KUBE-PROXY-CANARY
-X KUBE-POSTROUTING
-X KUBE-NODEPORTS
-X KUBE-EXT-CDGGSHYLG3RE2FKL
-X KUBE-SVC-CDGGSHYLG3RE2FKL
-X KUBE-SEP-WWTEUTNEJI6BLN3E
-X KUBE-SEP-CI6R6YSV47TRKBQ6
-X KUBE-MARK-MASQ
COMMIT
END


# --- Undo: Egress: masquerade and forward ---------------------------------------------------------------------------

iptables -t nat -F PODLAB-EGRESS
iptables -t nat -D POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS
iptables -t nat -X PODLAB-EGRESS

iptables -t filter -F PODLAB-FORWARD
iptables -t filter -F PODLAB-INPUT
iptables -t filter -D INPUT -j PODLAB-INPUT
iptables -t filter -D FORWARD -j PODLAB-FORWARD
iptables -t filter -X PODLAB-FORWARD
iptables -t filter -X PODLAB-INPUT


# --- Undo: Routes: pod CIDRs of other nodes -------------------------------------------------------------------------

ip route del 10.1.0.0/16 via 10.100.0.1 proto 117


# --- Undo: Pods: namespaces, veth pairs, containers -----------------------------------------------------------------

# A container ends with its process 1. Without their finish scripts none of them waits for a next start.
end() {
    s6-svc -O "$1"
    pid=$(sed -n 's/.*"child-pid": \([0-9]*\).*/\1/p' "$1/status" 2>/dev/null)
    [ -z "$pid" ] || kill -9 "$pid"
    s6-svc -wd -d "$1"
}
rm -f /run/podlab/services/*/finish
for file in /run/podlab/services/*/waiting; do pid=$(cat $file) && [ "$(readlink /proc/$pid/cwd)" = "${file%/waiting}" ] && kill -9 $pid; done 2>/dev/null

# Containers end, and so do those who watch over them.
end /run/podlab/services/default_pair.server
end /run/podlab/services/default_pair.client
end /run/podlab/services/default_web-bj5g7cqwgs-67xfb.agnhost

# A pod's wire, the process that holds its namespaces, their names, and its files.
ip link del veth873946b3
pkill -KILL --ns $$ --nslist mnt -f '^catatonit -P podlab-pod default_pair$'
umount /run/podlab/pods/default_pair/ipc /run/podlab/pods/default_pair/uts && ip netns del default_pair && rm -r /run/podlab/pods/default_pair
umount /run/podlab/shm/default_pair && rmdir /run/podlab/shm/default_pair
rm -r /var/lib/podlab/volumes/default_pair
rm -r /var/log/pods/default_pair
ip link del veth3cf79bce
pkill -KILL --ns $$ --nslist mnt -f '^catatonit -P podlab-pod default_web-bj5g7cqwgs-67xfb$'
umount /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts && ip netns del default_web-bj5g7cqwgs-67xfb && rm -r /run/podlab/pods/default_web-bj5g7cqwgs-67xfb
umount /run/podlab/shm/default_web-bj5g7cqwgs-67xfb && rmdir /run/podlab/shm/default_web-bj5g7cqwgs-67xfb
rm -r /var/log/pods/default_web-bj5g7cqwgs-67xfb

# The supervisor has nobody left to watch over.
s6-svscanctl -t /run/podlab/services; while s6-svscanctl -a /run/podlab/services 2>/dev/null; do sleep 0.1; done

# What all pods had together. Others may have named namespaces, and logs, in the same place.
umount /run/podlab/pods; [ -n "$(ls /run/netns)" ] || { umount /run/netns && rmdir /run/netns; }
rmdir --ignore-fail-on-non-empty /var/log/pods


# --- Undo: Bridge: cbr0 with the first address of the pod CIDR ------------------------------------------------------

ip link del cbr0


# --- Undo: Node: forwarding sysctls and kernel modules --------------------------------------------------------------

# Settings as they were.
sysctl -w net.ipv4.ip_forward=0


# --- Forget it ------------------------------------------------------------------------------------------------------

# Behind a mount may be files of somebody's.
if grep -E ' (/run|/var/lib)/podlab/' /proc/self/mountinfo; then echo 'this is mounted still, so nothing is deleted' >&2; exit 1; fi
umount -q /run/podlab
rm -rf /run/podlab; if [ -d /var/lib/podlab/claims ]; then find /var/lib/podlab -mindepth 1 -maxdepth 1 ! -path /var/lib/podlab/claims -exec rm -rf {} +; else rm -rf /var/lib/podlab; fi
