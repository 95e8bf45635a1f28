#!/bin/sh
# What podlab makes of the host node1, by hand. For a host that has nothing of it yet: an embedded one that has only
# been powered on, or a machine with these Debian packages, run by root there:
#   bind9-dnsutils bubblewrap busybox catatonit conntrack curl execline hostname iproute2 ipset iptables iputils-ping
#   nginx openssl procps s6 util-linux
# `./lab script --undo node1` prints what takes it away again.
#
# What a script cannot bring:
# - what containers have written and printed, and how often they were started: all begin anew

set -eu
umask 022
cd /
export PATH=$PATH:/usr/sbin:/sbin
# What lies in these two is root's alone: values of Secrets are among it.
mkdir -p -m 700 /run/podlab /var/lib/podlab


# --- Node: forwarding sysctls and kernel modules --------------------------------------------------------------------

# A file system of podlab's own, for what is run when a container starts: where systemd is, no program may be started
# from /run.
mkdir -p -m 700 /run/podlab
mount -t tmpfs -o nosuid,nodev,mode=700,size=25% podlab /run/podlab

# The kernel loads the other modules by itself when they are used.
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe -a bridge veth br_netfilter

# A host that does not forward throws away what is not addressed to itself.
sysctl -w net.ipv4.ip_forward=1

# What stays on the bridge passes iptables as well: answers of services have to.
sysctl -w net.bridge.bridge-nf-call-iptables=1


# --- Bridge: cbr0 with the first address of the pod CIDR ------------------------------------------------------------

# Its address is the pods' gateway. Its MAC address is pinned: else it would be that of a port, and go with it.
ip link add cbr0 address 0a:58:0a:01:01:01 mtu 1500 type bridge
ip link set cbr0 alias podlab up
ip addr add 10.1.1.1/24 brd + dev cbr0


# --- Pods: namespaces, veth pairs, containers -----------------------------------------------------------------------

# The names of pods' namespaces lie in mounts of their own, as those of `ip netns` do: a container drops these two,
# and so sees none of them.
for dir in /run/netns /run/podlab/pods; do mkdir -p $dir; mount --make-shared $dir 2>/dev/null || mount --bind --make-private --make-shared $dir $dir; done

# A pod is a set of namespaces. `unshare` makes them and gives each a name in the file system; pause, which does
# nothing else, holds them.
mkdir -p /run/podlab/pods/default_pair && touch /run/netns/default_pair /run/podlab/pods/default_pair/ipc /run/podlab/pods/default_pair/uts
unshare --net=/run/netns/default_pair --ipc=/run/podlab/pods/default_pair/ipc --uts=/run/podlab/pods/default_pair/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' pair net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_pair --ipc=/run/podlab/pods/default_pair/ipc --uts=/run/podlab/pods/default_pair/uts catatonit -P podlab-pod default_pair </dev/null >/dev/null 2>&1 &
mkdir -p /run/podlab/pods/default_web-bj5g7cqwgs-67xfb && touch /run/netns/default_web-bj5g7cqwgs-67xfb /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts
unshare --net=/run/netns/default_web-bj5g7cqwgs-67xfb --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' web-bj5g7cqwgs-67xfb net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_web-bj5g7cqwgs-67xfb --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts catatonit -P podlab-pod default_web-bj5g7cqwgs-67xfb </dev/null >/dev/null 2>&1 &

# A wire for each pod, from the bridge into the pod, where its end is eth0. Hairpin: what a pod sends to itself by way
# of a service comes back through the port that it left by.
ip link add veth873946b3 mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:02 mtu 1500 netns default_pair
ip link set veth873946b3 alias "podlab default/pair" master cbr0 up
ip link set veth873946b3 type bridge_slave hairpin on
ip link add veth3cf79bce mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:03 mtu 1500 netns default_web-bj5g7cqwgs-67xfb
ip link set veth3cf79bce alias "podlab default/web-bj5g7cqwgs-67xfb" master cbr0 up
ip link set veth3cf79bce type bridge_slave hairpin on

# Inside: an address, and the bridge as the way to everybody else.
ip -n default_pair link set lo up
ip -n default_pair addr add 10.1.1.2/24 brd + dev eth0
ip -n default_pair link set eth0 up
ip -n default_pair route add default via 10.1.1.1 dev eth0
ip -n default_web-bj5g7cqwgs-67xfb link set lo up
ip -n default_web-bj5g7cqwgs-67xfb addr add 10.1.1.3/24 brd + dev eth0
ip -n default_web-bj5g7cqwgs-67xfb link set eth0 up
ip -n default_web-bj5g7cqwgs-67xfb route add default via 10.1.1.1 dev eth0

# Neighbours that knew the address at another place hear where it is now.
ip netns exec default_pair busybox arping -q -c 1 -A -I eth0 10.1.1.2
ip netns exec default_web-bj5g7cqwgs-67xfb busybox arping -q -c 1 -A -I eth0 10.1.1.3

# Programs that podlab brings for containers: from its directory images/, and module_utils/podlab/host/enter.py and
# kubelet/. They are long; the pods go on after them.
mkdir -p /var/lib/podlab/images
cat >/var/lib/podlab/images/agnhost <<'END'
#!/usr/bin/python3
END
chmod 755 /var/lib/podlab/images/agnhost
mkdir -p /var/lib/podlab/images/nginx
cat >/var/lib/podlab/images/nginx/nginx.conf <<'END'
events {}
END
chmod 755 /var/lib/podlab/images/nginx/nginx.conf
mkdir -p /var/lib/podlab/images
cat >/var/lib/podlab/images/kubelet <<'END'
#!/usr/bin/python3 -IS
END
chmod 755 /var/lib/podlab/images/kubelet
mkdir -p /var/lib/podlab/images/busybox && busybox --install -s /var/lib/podlab/images/busybox && ln -sf /opt/podlab/nc /var/lib/podlab/images/busybox/nc && ln -sf /opt/podlab/wget /var/lib/podlab/images/busybox/wget

# Volumes. Only their pods come in: through the mounts of their containers.
mkdir -p /var/lib/podlab/volumes/default_pair/pages && chmod 700 /var/lib/podlab/volumes/default_pair && chmod 777 /var/lib/podlab/volumes/default_pair/pages

# What the kubelet writes for each pod: its name, who it is, and where it asks for other names.
cat >/run/podlab/pods/default_pair/hostname <<'END'
pair
END
cat >/run/podlab/pods/default_pair/hosts <<'END'
# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost
10.1.1.2	pair
END
cat >/run/podlab/pods/default_pair/resolv.conf <<'END'
# no name server: podlab_dns is not set
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
END
[ -d /run/podlab/shm/default_pair ] || { mkdir -p /run/podlab/shm/default_pair && mount -t tmpfs -o nosuid,nodev,noexec,size=64m,mode=1777 podlab /run/podlab/shm/default_pair; }
cat >/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/hostname <<'END'
web-bj5g7cqwgs-67xfb
END
cat >/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/hosts <<'END'
# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost
10.1.1.3	web-bj5g7cqwgs-67xfb
END
cat >/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/resolv.conf <<'END'
# no name server: podlab_dns is not set
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
END
[ -d /run/podlab/shm/default_web-bj5g7cqwgs-67xfb ] || { mkdir -p /run/podlab/shm/default_web-bj5g7cqwgs-67xfb && mount -t tmpfs -o nosuid,nodev,noexec,size=64m,mode=1777 podlab /run/podlab/shm/default_web-bj5g7cqwgs-67xfb; }

# One supervisor for all containers of the host: it starts again what ends.
mkdir -p /run/podlab/services
if [ -d /run/systemd/system ]; then systemd-run --quiet --unit=podlab '--description=containers of podlab' --property=KillMode=mixed --property=LimitNOFILE=1048576 --property=SystemCallArchitectures=native --property=SystemCallErrorNumber=EPERM '--property=SystemCallFilter=~add_key request_key keyctl io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd open_by_handle_at syslog' '--property=RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_KEY AF_NETLINK AF_PACKET AF_PPPOX AF_CAN AF_TIPC AF_XDP' -- s6-svscan -c 10000 /run/podlab/services; else setsid s6-svscan -c 10000 /run/podlab/services </dev/null >/dev/null 2>&1 & fi
until s6-svscanctl -a /run/podlab/services 2>/dev/null; do sleep 0.1; done

# A container is a directory of the supervisor's. `run` is a chain of programs, each of which starts the next: into
# the pod's namespaces, into a root of its own (bwrap), and the container's command at the end. `finish` waits before
# the next start, as the kubelet does; `log` keeps what is printed; `enter` is for ./lab exec.

mkdir -p /run/podlab/services/.new/default_pair.server
mkdir -p /run/podlab/services/.new/default_pair.server/layers/0
if [ -d /var/lib/podlab/volumes/default_pair/pages ]; then mkdir -p /run/podlab/services/.new/default_pair.server/layers/0/share/nginx/html; else mkdir -p /run/podlab/services/.new/default_pair.server/layers/0/share/nginx && : >/run/podlab/services/.new/default_pair.server/layers/0/share/nginx/html; fi
cat >/run/podlab/services/.new/default_pair.server/run <<'END'
#!/usr/lib/execline/bin/execlineb -P
/usr/lib/execline/bin/redirfd -r 5 restarts
/usr/lib/execline/bin/pipeline -w { ./log }
/usr/lib/execline/bin/fdclose 5
/usr/lib/execline/bin/fdmove -c 2 1
/usr/lib/execline/bin/redirfd -w 3 started
/usr/lib/execline/bin/redirfd -w 3 status
/usr/lib/execline/bin/redirfd -r 5 env
/usr/lib/execline/bin/umask 022
"ip" "netns" "exec" "default_pair"
"nsenter" "--ipc=/run/podlab/pods/default_pair/ipc" "--uts=/run/podlab/pods/default_pair/uts" "--"
/usr/lib/execline/bin/foreground { "umount" "--lazy" "--quiet" "/run/netns" "/run/podlab/pods" }
/usr/lib/execline/bin/if { "mount" "-t" "overlay" "podlab" "-o" "ro,lowerdir=/run/podlab/services/default_pair.server/layers/0:/usr" "/run/podlab/services/default_pair.server/layers/0" }
"bwrap" "--unshare-pid" "--as-pid-1" "--die-with-parent" "--json-status-fd" "3" "--perms" "1777" "--dir" "/tmp" "--perms" "1777" "--dir" "/var/tmp" "--dir" "/run" "--dir" "/var/log" "--dir" "/var/lib" "--dir" "/var/cache" "--dir" "/root" "--dir" "/home" "--dir" "/srv" "--dir" "/mnt" "--dir" "/etc/ssl" "--dir" "/opt" "--symlink" "../run" "/var/run" "--ro-bind" "/run/podlab/services/default_pair.server/layers/0" "/usr" "--symlink" "usr/bin" "/bin" "--symlink" "usr/sbin" "/sbin" "--symlink" "usr/lib" "/lib" "--symlink" "usr/lib32" "/lib32" "--symlink" "usr/lib64" "/lib64" "--ro-bind-try" "/etc/alternatives" "/etc/alternatives" "--ro-bind-try" "/etc/group" "/etc/group" "--ro-bind-try" "/etc/ld.so.cache" "/etc/ld.so.cache" "--ro-bind-try" "/etc/localtime" "/etc/localtime" "--ro-bind-try" "/etc/nsswitch.conf" "/etc/nsswitch.conf" "--ro-bind-try" "/etc/passwd" "/etc/passwd" "--ro-bind-try" "/etc/protocols" "/etc/protocols" "--ro-bind-try" "/etc/services" "/etc/services" "--ro-bind-try" "/etc/ssl/certs" "/etc/ssl/certs" "--ro-bind-try" "/etc/ssl/openssl.cnf" "/etc/ssl/openssl.cnf" "--bind" "/run/podlab/pods/default_pair/hosts" "/etc/hosts" "--bind" "/run/podlab/pods/default_pair/hostname" "/etc/hostname" "--bind" "/run/podlab/pods/default_pair/resolv.conf" "/etc/resolv.conf" "--proc" "/proc" "--ro-bind" "/proc/sys" "/proc/sys" "--dev" "/dev" "--bind" "/run/podlab/shm/default_pair" "/dev/shm" "--ro-bind" "/sys" "/sys" "--ro-bind" "/var/lib/podlab/images" "/opt/podlab" "--symlink" "/opt/podlab/agnhost" "/agnhost" "--dir" "/etc" "--ro-bind" "/var/lib/podlab/images/nginx/group" "/etc/group" "--dir" "/etc/nginx/conf.d" "--ro-bind" "/var/lib/podlab/images/nginx/conf.d/default.conf" "/etc/nginx/conf.d/default.conf" "--dir" "/etc/nginx" "--ro-bind" "/etc/nginx/mime.types" "/etc/nginx/mime.types" "--dir" "/etc/nginx" "--ro-bind" "/var/lib/podlab/images/nginx/nginx.conf" "/etc/nginx/nginx.conf" "--dir" "/etc" "--ro-bind" "/var/lib/podlab/images/nginx/passwd" "/etc/passwd" "--dir" "/usr/share/nginx" "--ro-bind" "/var/lib/podlab/volumes/default_pair/pages" "/usr/share/nginx/html" "--cap-drop" "ALL" "--cap-add" "CAP_CHOWN" "--cap-add" "CAP_DAC_OVERRIDE" "--cap-add" "CAP_FOWNER" "--cap-add" "CAP_FSETID" "--cap-add" "CAP_KILL" "--cap-add" "CAP_SETGID" "--cap-add" "CAP_SETUID" "--cap-add" "CAP_SETPCAP" "--cap-add" "CAP_SETFCAP" "--cap-add" "CAP_NET_BIND_SERVICE" "--cap-add" "CAP_NET_RAW" "--cap-add" "CAP_SYS_CHROOT" "--cap-add" "CAP_MKNOD" "--cap-add" "CAP_AUDIT_WRITE" "--clearenv" "--chdir" "/" "--" "/usr/lib/execline/bin/envfile" "/proc/self/fd/5" "/usr/lib/execline/bin/fdclose" "5" "nginx" "-g" "daemon off;"
END
cat >/run/podlab/services/.new/default_pair.server/enter <<'END'
#!/usr/lib/execline/bin/execlineb -S0
"/var/lib/podlab/images/enter" "/run/podlab/services/default_pair.server" $@
END
cat >/run/podlab/services/.new/default_pair.server/identity <<'END'
capabilities 00000000a80425fb
working_dir /
END
cat >/run/podlab/services/.new/default_pair.server/env <<'END'
HOSTNAME="pair"
HOME="/root"
TERM="xterm"
WEB_SERVICE_HOST="10.96.54.115"
WEB_SERVICE_PORT="80"
WEB_SERVICE_PORT_HTTP="80"
WEB_PORT="tcp://10.96.54.115:80"
WEB_PORT_80_TCP="tcp://10.96.54.115:80"
WEB_PORT_80_TCP_PROTO="tcp"
WEB_PORT_80_TCP_PORT="80"
WEB_PORT_80_TCP_ADDR="10.96.54.115"
PATH="/opt/podlab/nginx:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
END
cat >/run/podlab/services/.new/default_pair.server/log <<'END'
#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it: what is printed is in "current" as soon as it
# is printed, byte for byte. A full part becomes @1, @2, ..., and the last two of those are kept. "current.times" says
# up to which byte there was something at what time, a line for each read.
trap '' TERM INT HUP
umask 022
read -r n <&5
exec 5<&-
[ -d "logs/$n" ] || mkdir -p "logs/$n"
cd "logs/$n" || exec cat >/dev/null
part=0 before=-1 reads=0 last=
for name in @*; do [ "${name#@}" -gt "$part" ] 2>/dev/null && part=${name#@}; done
while :; do
    if dd bs=64k count=1 status=none >>current 2>/dev/null; then
        entry=$(LC_ALL=C stat -c '%s %.9Y' current)
        size=${entry%% *}
        [ "$size" = "$before" ] && exit 0  # nothing has come: whoever wrote has gone
        echo "$entry" >>current.times
        got=$((size - before)) before=$size reads=$((reads + 1))
        if [ "$size" -ge 1000000 ] || [ "$reads" -ge 50000 ]; then
            part=$((part + 1)) before=0 reads=0
            mv current "@$part"
            mv current.times "@$part.times"
            rm -f "@$((part - 2))" "@$((part - 2)).times"
        fi
        # Of what is printed in small pieces one after the other, several are a read: each read costs two processes.
        read -r now _ </proc/uptime
        [ "${now%?}" = "$last" ] && [ "$got" -lt 32768 ] && sleep 0.02
        last=${now%?}
    else
        # There is no room: what is printed is lost, rather than the container held up.
        timeout -s KILL 1 cat >/dev/null && exit 0
    fi
done
END
cat >/run/podlab/services/.new/default_pair.server/finish <<'END'
#!/bin/sh
now=$(date +%s) started=$(stat -c %Y started)
read -r n <restarts
echo "$1 $2 $started $now" >last
cp last logs/last 2>/dev/null  # where a reboot leaves it
rm -f status
if false; then exit 125; fi
echo $((n + 1)) >restarts.new
mv restarts.new restarts
read -r wait 2>/dev/null <backoff || wait=0
if [ $((now - started)) -ge 600 ]; then wait=0; fi
next=$((wait ? wait * 2 : 10))
echo $((next < 300 ? next : 300)) >backoff
echo $$ >waiting
exec sleep "$wait"
END
cat >/run/podlab/services/.new/default_pair.server/timeout-finish <<'END'
0
END
cat >/run/podlab/services/.new/default_pair.server/restarts <<'END'
0
END
chmod 755 /run/podlab/services/.new/default_pair.server/run /run/podlab/services/.new/default_pair.server/enter /run/podlab/services/.new/default_pair.server/log /run/podlab/services/.new/default_pair.server/finish
mkdir -p -m 700 /var/log/pods/default_pair && mkdir -p /var/log/pods/default_pair/server && ln -s /var/log/pods/default_pair/server /run/podlab/services/.new/default_pair.server/logs && mv /run/podlab/services/.new/default_pair.server /run/podlab/services/
s6-svscanctl -a /run/podlab/services  # default_pair.server: nginx -g 'daemon off;'

mkdir -p /run/podlab/services/.new/default_pair.client
cat >/run/podlab/services/.new/default_pair.client/run <<'END'
#!/usr/lib/execline/bin/execlineb -P
/usr/lib/execline/bin/redirfd -r 5 restarts
/usr/lib/execline/bin/pipeline -w { ./log }
/usr/lib/execline/bin/fdclose 5
/usr/lib/execline/bin/fdmove -c 2 1
/usr/lib/execline/bin/redirfd -w 3 started
/usr/lib/execline/bin/redirfd -w 3 status
/usr/lib/execline/bin/redirfd -r 5 env
/usr/lib/execline/bin/umask 022
"ip" "netns" "exec" "default_pair"
"nsenter" "--ipc=/run/podlab/pods/default_pair/ipc" "--uts=/run/podlab/pods/default_pair/uts" "--"
/usr/lib/execline/bin/foreground { "umount" "--lazy" "--quiet" "/run/netns" "/run/podlab/pods" }
"bwrap" "--unshare-pid" "--as-pid-1" "--die-with-parent" "--json-status-fd" "3" "--perms" "1777" "--dir" "/tmp" "--perms" "1777" "--dir" "/var/tmp" "--dir" "/run" "--dir" "/var/log" "--dir" "/var/lib" "--dir" "/var/cache" "--dir" "/root" "--dir" "/home" "--dir" "/srv" "--dir" "/mnt" "--dir" "/etc/ssl" "--dir" "/opt" "--symlink" "../run" "/var/run" "--ro-bind" "/usr" "/usr" "--symlink" "usr/bin" "/bin" "--symlink" "usr/sbin" "/sbin" "--symlink" "usr/lib" "/lib" "--symlink" "usr/lib32" "/lib32" "--symlink" "usr/lib64" "/lib64" "--ro-bind-try" "/etc/alternatives" "/etc/alternatives" "--ro-bind-try" "/etc/group" "/etc/group" "--ro-bind-try" "/etc/ld.so.cache" "/etc/ld.so.cache" "--ro-bind-try" "/etc/localtime" "/etc/localtime" "--ro-bind-try" "/etc/nsswitch.conf" "/etc/nsswitch.conf" "--ro-bind-try" "/etc/passwd" "/etc/passwd" "--ro-bind-try" "/etc/protocols" "/etc/protocols" "--ro-bind-try" "/etc/services" "/etc/services" "--ro-bind-try" "/etc/ssl/certs" "/etc/ssl/certs" "--ro-bind-try" "/etc/ssl/openssl.cnf" "/etc/ssl/openssl.cnf" "--bind" "/run/podlab/pods/default_pair/hosts" "/etc/hosts" "--bind" "/run/podlab/pods/default_pair/hostname" "/etc/hostname" "--bind" "/run/podlab/pods/default_pair/resolv.conf" "/etc/resolv.conf" "--proc" "/proc" "--ro-bind" "/proc/sys" "/proc/sys" "--dev" "/dev" "--bind" "/run/podlab/shm/default_pair" "/dev/shm" "--ro-bind" "/sys" "/sys" "--ro-bind" "/var/lib/podlab/images" "/opt/podlab" "--symlink" "/opt/podlab/agnhost" "/agnhost" "--bind" "/var/lib/podlab/volumes/default_pair/pages" "/pages" "--cap-drop" "ALL" "--cap-add" "CAP_CHOWN" "--cap-add" "CAP_DAC_OVERRIDE" "--cap-add" "CAP_FOWNER" "--cap-add" "CAP_FSETID" "--cap-add" "CAP_KILL" "--cap-add" "CAP_SETGID" "--cap-add" "CAP_SETUID" "--cap-add" "CAP_SETPCAP" "--cap-add" "CAP_SETFCAP" "--cap-add" "CAP_NET_BIND_SERVICE" "--cap-add" "CAP_NET_RAW" "--cap-add" "CAP_SYS_CHROOT" "--cap-add" "CAP_MKNOD" "--cap-add" "CAP_AUDIT_WRITE" "--clearenv" "--chdir" "/" "--" "/usr/lib/execline/bin/envfile" "/proc/self/fd/5" "/usr/lib/execline/bin/fdclose" "5" "sh" "-c" "while :; do hostname >/pages/index.html; wget -qO- http://localhost/; sleep 5; done"
END
cat >/run/podlab/services/.new/default_pair.client/enter <<'END'
#!/usr/lib/execline/bin/execlineb -S0
"/var/lib/podlab/images/enter" "/run/podlab/services/default_pair.client" $@
END
cat >/run/podlab/services/.new/default_pair.client/identity <<'END'
capabilities 00000000a80425fb
working_dir /
END
cat >/run/podlab/services/.new/default_pair.client/env <<'END'
HOSTNAME="pair"
HOME="/root"
TERM="xterm"
WEB_SERVICE_HOST="10.96.54.115"
WEB_SERVICE_PORT="80"
WEB_SERVICE_PORT_HTTP="80"
WEB_PORT="tcp://10.96.54.115:80"
WEB_PORT_80_TCP="tcp://10.96.54.115:80"
WEB_PORT_80_TCP_PROTO="tcp"
WEB_PORT_80_TCP_PORT="80"
WEB_PORT_80_TCP_ADDR="10.96.54.115"
PATH="/opt/podlab/busybox:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
END
cat >/run/podlab/services/.new/default_pair.client/log <<'END'
#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it: what is printed is in "current" as soon as it
# is printed, byte for byte. A full part becomes @1, @2, ..., and the last two of those are kept. "current.times" says
# up to which byte there was something at what time, a line for each read.
trap '' TERM INT HUP
umask 022
read -r n <&5
exec 5<&-
[ -d "logs/$n" ] || mkdir -p "logs/$n"
cd "logs/$n" || exec cat >/dev/null
part=0 before=-1 reads=0 last=
for name in @*; do [ "${name#@}" -gt "$part" ] 2>/dev/null && part=${name#@}; done
while :; do
    if dd bs=64k count=1 status=none >>current 2>/dev/null; then
        entry=$(LC_ALL=C stat -c '%s %.9Y' current)
        size=${entry%% *}
        [ "$size" = "$before" ] && exit 0  # nothing has come: whoever wrote has gone
        echo "$entry" >>current.times
        got=$((size - before)) before=$size reads=$((reads + 1))
        if [ "$size" -ge 1000000 ] || [ "$reads" -ge 50000 ]; then
            part=$((part + 1)) before=0 reads=0
            mv current "@$part"
            mv current.times "@$part.times"
            rm -f "@$((part - 2))" "@$((part - 2)).times"
        fi
        # Of what is printed in small pieces one after the other, several are a read: each read costs two processes.
        read -r now _ </proc/uptime
        [ "${now%?}" = "$last" ] && [ "$got" -lt 32768 ] && sleep 0.02
        last=${now%?}
    else
        # There is no room: what is printed is lost, rather than the container held up.
        timeout -s KILL 1 cat >/dev/null && exit 0
    fi
done
END
cat >/run/podlab/services/.new/default_pair.client/finish <<'END'
#!/bin/sh
now=$(date +%s) started=$(stat -c %Y started)
read -r n <restarts
echo "$1 $2 $started $now" >last
cp last logs/last 2>/dev/null  # where a reboot leaves it
rm -f status
if false; then exit 125; fi
echo $((n + 1)) >restarts.new
mv restarts.new restarts
read -r wait 2>/dev/null <backoff || wait=0
if [ $((now - started)) -ge 600 ]; then wait=0; fi
next=$((wait ? wait * 2 : 10))
echo $((next < 300 ? next : 300)) >backoff
echo $$ >waiting
exec sleep "$wait"
END
cat >/run/podlab/services/.new/default_pair.client/timeout-finish <<'END'
0
END
cat >/run/podlab/services/.new/default_pair.client/restarts <<'END'
0
END
chmod 755 /run/podlab/services/.new/default_pair.client/run /run/podlab/services/.new/default_pair.client/enter /run/podlab/services/.new/default_pair.client/log /run/podlab/services/.new/default_pair.client/finish
mkdir -p -m 700 /var/log/pods/default_pair && mkdir -p /var/log/pods/default_pair/client && ln -s /var/log/pods/default_pair/client /run/podlab/services/.new/default_pair.client/logs && mv /run/podlab/services/.new/default_pair.client /run/podlab/services/
s6-svscanctl -a /run/podlab/services  # default_pair.client: sh -c 'while :; do hostname >/pages/index.html; wget -qO- http://localhost/; sleep 5; done'

mkdir -p /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/run <<'END'
#!/usr/lib/execline/bin/execlineb -P
/usr/lib/execline/bin/redirfd -r 5 restarts
/usr/lib/execline/bin/pipeline -w { ./log }
/usr/lib/execline/bin/fdclose 5
/usr/lib/execline/bin/fdmove -c 2 1
/usr/lib/execline/bin/redirfd -w 3 started
/usr/lib/execline/bin/redirfd -w 3 status
/usr/lib/execline/bin/redirfd -r 5 env
/usr/lib/execline/bin/umask 022
"ip" "netns" "exec" "default_web-bj5g7cqwgs-67xfb"
"nsenter" "--ipc=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc" "--uts=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts" "--"
/usr/lib/execline/bin/foreground { "umount" "--lazy" "--quiet" "/run/netns" "/run/podlab/pods" }
"bwrap" "--unshare-pid" "--as-pid-1" "--die-with-parent" "--json-status-fd" "3" "--perms" "1777" "--dir" "/tmp" "--perms" "1777" "--dir" "/var/tmp" "--dir" "/run" "--dir" "/var/log" "--dir" "/var/lib" "--dir" "/var/cache" "--dir" "/root" "--dir" "/home" "--dir" "/srv" "--dir" "/mnt" "--dir" "/etc/ssl" "--dir" "/opt" "--symlink" "../run" "/var/run" "--ro-bind" "/usr" "/usr" "--symlink" "usr/bin" "/bin" "--symlink" "usr/sbin" "/sbin" "--symlink" "usr/lib" "/lib" "--symlink" "usr/lib32" "/lib32" "--symlink" "usr/lib64" "/lib64" "--ro-bind-try" "/etc/alternatives" "/etc/alternatives" "--ro-bind-try" "/etc/group" "/etc/group" "--ro-bind-try" "/etc/ld.so.cache" "/etc/ld.so.cache" "--ro-bind-try" "/etc/localtime" "/etc/localtime" "--ro-bind-try" "/etc/nsswitch.conf" "/etc/nsswitch.conf" "--ro-bind-try" "/etc/passwd" "/etc/passwd" "--ro-bind-try" "/etc/protocols" "/etc/protocols" "--ro-bind-try" "/etc/services" "/etc/services" "--ro-bind-try" "/etc/ssl/certs" "/etc/ssl/certs" "--ro-bind-try" "/etc/ssl/openssl.cnf" "/etc/ssl/openssl.cnf" "--bind" "/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/hosts" "/etc/hosts" "--bind" "/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/hostname" "/etc/hostname" "--bind" "/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/resolv.conf" "/etc/resolv.conf" "--proc" "/proc" "--ro-bind" "/proc/sys" "/proc/sys" "--dev" "/dev" "--bind" "/run/podlab/shm/default_web-bj5g7cqwgs-67xfb" "/dev/shm" "--ro-bind" "/sys" "/sys" "--ro-bind" "/var/lib/podlab/images" "/opt/podlab" "--symlink" "/opt/podlab/agnhost" "/agnhost" "--cap-drop" "ALL" "--cap-add" "CAP_CHOWN" "--cap-add" "CAP_DAC_OVERRIDE" "--cap-add" "CAP_FOWNER" "--cap-add" "CAP_FSETID" "--cap-add" "CAP_KILL" "--cap-add" "CAP_SETGID" "--cap-add" "CAP_SETUID" "--cap-add" "CAP_SETPCAP" "--cap-add" "CAP_SETFCAP" "--cap-add" "CAP_NET_BIND_SERVICE" "--cap-add" "CAP_NET_RAW" "--cap-add" "CAP_SYS_CHROOT" "--cap-add" "CAP_MKNOD" "--cap-add" "CAP_AUDIT_WRITE" "--clearenv" "--chdir" "/" "--" "/usr/lib/execline/bin/envfile" "/proc/self/fd/5" "/usr/lib/execline/bin/fdclose" "5" "/opt/podlab/agnhost" "netexec" "--http-port=80" "--udp-port=80"
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/enter <<'END'
#!/usr/lib/execline/bin/execlineb -S0
"/var/lib/podlab/images/enter" "/run/podlab/services/default_web-bj5g7cqwgs-67xfb.agnhost" $@
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/identity <<'END'
capabilities 00000000a80425fb
working_dir /
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/env <<'END'
HOSTNAME="web-bj5g7cqwgs-67xfb"
HOME="/root"
TERM="xterm"
WEB_SERVICE_HOST="10.96.54.115"
WEB_SERVICE_PORT="80"
WEB_SERVICE_PORT_HTTP="80"
WEB_PORT="tcp://10.96.54.115:80"
WEB_PORT_80_TCP="tcp://10.96.54.115:80"
WEB_PORT_80_TCP_PROTO="tcp"
WEB_PORT_80_TCP_PORT="80"
WEB_PORT_80_TCP_ADDR="10.96.54.115"
PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/log <<'END'
#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it: what is printed is in "current" as soon as it
# is printed, byte for byte. A full part becomes @1, @2, ..., and the last two of those are kept. "current.times" says
# up to which byte there was something at what time, a line for each read.
trap '' TERM INT HUP
umask 022
read -r n <&5
exec 5<&-
[ -d "logs/$n" ] || mkdir -p "logs/$n"
cd "logs/$n" || exec cat >/dev/null
part=0 before=-1 reads=0 last=
for name in @*; do [ "${name#@}" -gt "$part" ] 2>/dev/null && part=${name#@}; done
while :; do
    if dd bs=64k count=1 status=none >>current 2>/dev/null; then
        entry=$(LC_ALL=C stat -c '%s %.9Y' current)
        size=${entry%% *}
        [ "$size" = "$before" ] && exit 0  # nothing has come: whoever wrote has gone
        echo "$entry" >>current.times
        got=$((size - before)) before=$size reads=$((reads + 1))
        if [ "$size" -ge 1000000 ] || [ "$reads" -ge 50000 ]; then
            part=$((part + 1)) before=0 reads=0
            mv current "@$part"
            mv current.times "@$part.times"
            rm -f "@$((part - 2))" "@$((part - 2)).times"
        fi
        # Of what is printed in small pieces one after the other, several are a read: each read costs two processes.
        read -r now _ </proc/uptime
        [ "${now%?}" = "$last" ] && [ "$got" -lt 32768 ] && sleep 0.02
        last=${now%?}
    else
        # There is no room: what is printed is lost, rather than the container held up.
        timeout -s KILL 1 cat >/dev/null && exit 0
    fi
done
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/finish <<'END'
#!/bin/sh
now=$(date +%s) started=$(stat -c %Y started)
read -r n <restarts
echo "$1 $2 $started $now" >last
cp last logs/last 2>/dev/null  # where a reboot leaves it
rm -f status
if false; then exit 125; fi
echo $((n + 1)) >restarts.new
mv restarts.new restarts
read -r wait 2>/dev/null <backoff || wait=0
if [ $((now - started)) -ge 600 ]; then wait=0; fi
next=$((wait ? wait * 2 : 10))
echo $((next < 300 ? next : 300)) >backoff
echo $$ >waiting
exec sleep "$wait"
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/timeout-finish <<'END'
0
END
cat >/run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/restarts <<'END'
0
END
chmod 755 /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/run /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/enter /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/log /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/finish
mkdir -p -m 700 /var/log/pods/default_web-bj5g7cqwgs-67xfb && mkdir -p /var/log/pods/default_web-bj5g7cqwgs-67xfb/agnhost && ln -s /var/log/pods/default_web-bj5g7cqwgs-67xfb/agnhost /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost/logs && mv /run/podlab/services/.new/default_web-bj5g7cqwgs-67xfb.agnhost /run/podlab/services/
s6-svscanctl -a /run/podlab/services  # default_web-bj5g7cqwgs-67xfb.agnhost: /opt/podlab/agnhost netexec --http-port=80 --udp-port=80

# What podlab remembers of a pod: `get` shows it, and the next run holds it against what is wanted.
cat >/run/podlab/pods/default_pair/pod.json <<'END'
{"netns": "default_pair", "address": "10.1.1.2/24", "gateway": "10.1.1.1", "mac": "0a:58:0a:01:01:02", "mtu": 1500, "bridge": "cbr0", "hostname": "pair", "restart_policy": "Always", "etc": {"hostname": "pair\n", "hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n10.1.1.2\tpair\n", "resolv.conf": "# no name server: podlab_dns is not set\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"}, "containers": {"server": {"image": "nginx:1.27", "argv": ["nginx", "-g", "daemon off;"], "env": {"PATH": "/opt/podlab/nginx:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "working_dir": "/", "services": {"WEB_SERVICE_HOST": "10.96.54.115", "WEB_SERVICE_PORT": "80", "WEB_SERVICE_PORT_HTTP": "80", "WEB_PORT": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP_PROTO": "tcp", "WEB_PORT_80_TCP_PORT": "80", "WEB_PORT_80_TCP_ADDR": "10.96.54.115"}, "mounts": [{"volume": "pages", "path": "/usr/share/nginx/html", "sub_path": "", "read_only": true}], "binds": {"/etc/nginx/nginx.conf": "/var/lib/podlab/images/nginx/nginx.conf", "/etc/nginx/conf.d/default.conf": "/var/lib/podlab/images/nginx/conf.d/default.conf", "/etc/nginx/mime.types": "/etc/nginx/mime.types", "/etc/passwd": "/var/lib/podlab/images/nginx/passwd", "/etc/group": "/var/lib/podlab/images/nginx/group"}}, "client": {"image": "busybox:1.36", "argv": ["sh", "-c", "while :; do hostname >/pages/index.html; wget -qO- http://localhost/; sleep 5; done"], "env": {"PATH": "/opt/podlab/busybox:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "working_dir": "/", "services": {"WEB_SERVICE_HOST": "10.96.54.115", "WEB_SERVICE_PORT": "80", "WEB_SERVICE_PORT_HTTP": "80", "WEB_PORT": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP_PROTO": "tcp", "WEB_PORT_80_TCP_PORT": "80", "WEB_PORT_80_TCP_ADDR": "10.96.54.115"}, "mounts": [{"volume": "pages", "path": "/pages", "sub_path": "", "read_only": false}]}}, "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pair", "namespace": "default", "uid": "9cac8a23-eda1-51bb-8044-3070839ae9b2", "creationTimestamp": "2030-01-01T00:00:00Z", "labels": {"app": "pair"}}, "spec": {"nodeName": "node1", "containers": [{"name": "server", "image": "nginx:1.27", "ports": [{"name": "http", "containerPort": 80}], "volumeMounts": [{"name": "pages", "mountPath": "/usr/share/nginx/html", "readOnly": true}]}, {"name": "client", "image": "busybox:1.36", "command": ["sh", "-c", "while :; do hostname >/pages/index.html; wget -qO- http://localhost/; sleep 5; done"], "volumeMounts": [{"name": "pages", "mountPath": "/pages"}]}], "volumes": [{"name": "pages", "emptyDir": {}}], "restartPolicy": "Always"}}, "volumes": {"pages": {"kind": "emptyDir", "medium": "", "size": null}}}
END
chmod 600 /run/podlab/pods/default_pair/pod.json
cat >/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/pod.json <<'END'
{"netns": "default_web-bj5g7cqwgs-67xfb", "address": "10.1.1.3/24", "gateway": "10.1.1.1", "mac": "0a:58:0a:01:01:03", "mtu": 1500, "bridge": "cbr0", "hostname": "web-bj5g7cqwgs-67xfb", "restart_policy": "Always", "etc": {"hostname": "web-bj5g7cqwgs-67xfb\n", "hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n10.1.1.3\tweb-bj5g7cqwgs-67xfb\n", "resolv.conf": "# no name server: podlab_dns is not set\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"}, "containers": {"agnhost": {"image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "argv": ["/opt/podlab/agnhost", "netexec", "--http-port=80", "--udp-port=80"], "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "working_dir": "/", "services": {"WEB_SERVICE_HOST": "10.96.54.115", "WEB_SERVICE_PORT": "80", "WEB_SERVICE_PORT_HTTP": "80", "WEB_PORT": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP": "tcp://10.96.54.115:80", "WEB_PORT_80_TCP_PROTO": "tcp", "WEB_PORT_80_TCP_PORT": "80", "WEB_PORT_80_TCP_ADDR": "10.96.54.115"}}}, "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-bj5g7cqwgs-67xfb", "namespace": "default", "uid": "8793852a-3f33-5273-b8a3-96f5fdb66a92", "creationTimestamp": "2030-01-01T00:00:00Z", "labels": {"app": "web", "pod-template-hash": "bj5g7cqwgs"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-bj5g7cqwgs", "controller": true}]}, "spec": {"containers": [{"name": "agnhost", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec", "--http-port=80", "--udp-port=80"], "ports": [{"name": "http", "containerPort": 80}, {"name": "udp", "containerPort": 80, "protocol": "UDP"}]}], "nodeName": "node1", "restartPolicy": "Always"}}}
END
chmod 600 /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/pod.json

# The supervisor takes a moment.
for service in /run/podlab/services/*; do until s6-svok $service; do sleep 0.1; done; done


# --- Routes: pod CIDRs of other nodes -------------------------------------------------------------------------------

# 117 is podlab's mark on a route.
ip route replace 10.1.0.0/16 via 10.100.0.1 proto 117


# --- Egress: masquerade and forward ---------------------------------------------------------------------------------

# PODLAB-EGRESS: who leaves with the host's address, because nobody out there knows the way to a pod.
iptables -t nat -N PODLAB-EGRESS || iptables -t nat -F PODLAB-EGRESS
iptables -t nat -A PODLAB-EGRESS -m mark --mark 0x4000/0x4000 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.1.0.0/16 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.0.0.0/8 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 224.0.0.0/4 -j RETURN
iptables -t nat -A PODLAB-EGRESS -j MASQUERADE --random-fully
iptables -t nat -A POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS

# PODLAB-FORWARD: pods' packets pass, also where Docker has made dropping the rule, or a firewall ends with it.
# PODLAB-INPUT: and the node hears answers to its calls, verify, and the overlay, where its firewall hears nobody.
iptables -t filter -N PODLAB-FORWARD || iptables -t filter -F PODLAB-FORWARD
iptables -t filter -N PODLAB-INPUT || iptables -t filter -F PODLAB-INPUT
iptables -t filter -A PODLAB-FORWARD -s 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-FORWARD -d 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -t filter -A PODLAB-INPUT -p tcp -m tcp --dport 20256 -j ACCEPT
iptables -t filter -A INPUT -j PODLAB-INPUT
iptables -t filter -A FORWARD -j PODLAB-FORWARD


# --- Services: kube-proxy's rules -----------------------------------------------------------------------------------

# kube-proxy's canary, here and below: nobody comes to it. If it is gone, somebody has emptied the table.
iptables-restore --wait 5 --noflush <<'END'
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
END

# KUBE-SERVICES, KUBE-EXTERNAL-SERVICES: who calls a Service that has nobody behind it is refused, or hears nothing
# where there are only endpoints elsewhere.
# KUBE-PROXY-FIREWALL: who is in none of a load balancer's source ranges.
# KUBE-FORWARD: what belongs to a Service passes. KUBE-NODEPORTS: and so do health checks.
# KUBE-FIREWALL: nobody else reaches 127.0.0.1 of the host.
iptables-restore --wait 5 --noflush <<'END'
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-I INPUT 1 -j KUBE-FIREWALL
-I INPUT 2 -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-I INPUT 3 -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-I INPUT 4 -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-I FORWARD 1 -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-I FORWARD 2 -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-I FORWARD 3 -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I FORWARD 4 -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-I OUTPUT 1 -j KUBE-FIREWALL
-I OUTPUT 2 -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-I OUTPUT 3 -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
COMMIT
END

# KUBE-SERVICES: from each address of a Service to its chain; KUBE-NODEPORTS: from its node port.
# KUBE-EXT-: who came from outside. KUBE-FW-: by a load balancer that lets in only some.
# KUBE-SVC- picks an endpoint, KUBE-SVL- one on this node; KUBE-SEP- sends there (DNAT).
# KUBE-MARK-MASQ, KUBE-POSTROUTING: who has to come back by the host, is marked, and leaves with its address.
iptables-restore --wait 5 --noflush <<'END'
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-SEP-CI6R6YSV47TRKBQ6 - [0:0]
:KUBE-SEP-WWTEUTNEJI6BLN3E - [0:0]
:KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-EXT-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SERVICES - [0:0]
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SEP-CI6R6YSV47TRKBQ6 -s 10.1.1.3/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-CI6R6YSV47TRKBQ6 -p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination 10.1.1.3:80
-A KUBE-SEP-WWTEUTNEJI6BLN3E -s 10.1.2.3/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-WWTEUTNEJI6BLN3E -p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination 10.1.2.3:80
-A KUBE-SVC-CDGGSHYLG3RE2FKL ! -s 10.1.0.0/16 -d 10.96.54.115/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.1.1.3:80" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-CI6R6YSV47TRKBQ6
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.1.2.3:80" -j KUBE-SEP-WWTEUTNEJI6BLN3E
-A KUBE-EXT-CDGGSHYLG3RE2FKL -m comment --comment "masquerade traffic for default/web:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-CDGGSHYLG3RE2FKL -j KUBE-SVC-CDGGSHYLG3RE2FKL
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web:http" -m tcp --dport 30080 -j KUBE-EXT-CDGGSHYLG3RE2FKL
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES -d 10.96.54.115/32 -p tcp -m comment --comment "default/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-CDGGSHYLG3RE2FKL
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING 1 -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
COMMIT
END

# A port of the host at 127.0.0.1 may lead to a pod (hostPort, nodePort).
sysctl -w net.ipv4.conf.all.route_localnet=1

# What load balancers ask a node: whether kube-proxy is well, and whether a Service has endpoints here.
mkdir -p /run/podlab/services/.new/kube-proxy/logs
cat >/run/podlab/services/.new/kube-proxy/program <<'END'
#!/usr/bin/python3 -IS
END
cat >/run/podlab/services/.new/kube-proxy/state.json <<'END'
{"services": {}, "version": "44136fa355b3678a"}
END
cat >/run/podlab/services/.new/kube-proxy/run <<'END'
#!/usr/bin/execlineb -P
pipeline -w { s6-log -b n2 s1000000 ./logs }
fdmove -c 2 1
setpriv --pdeathsig TERM -- "/usr/bin/python3" -IS program
END
chmod 755 /run/podlab/services/.new/kube-proxy/run
mv /run/podlab/services/.new/kube-proxy /run/podlab/services/
s6-svscanctl -a /run/podlab/services
until s6-svok /run/podlab/services/kube-proxy; do sleep 0.1; done

# What the rules were made of, so that a run need not ask.
mkdir -p /var/lib/podlab
cat >/var/lib/podlab/services.json <<'END'
{"form": 1, "health": "4a8dfe18e87b3b91", "iptables": "", "kernel": "a7a2dccaeed57d0597eb8463320ebbfdb7ec6381e3b4c29fe904f5c76f199ec2", "packed": {"addresses": ["10.100.0.2", "10.1.1.1"], "affinity_by_ipset": false, "cluster_cidr": "10.1.0.0/16", "localhost_node_ports": true, "masquerade_all": false, "node": "node1", "node_port_addresses": [], "ports": [{"affinity_seconds": 0, "cluster_ip": "10.96.54.115", "endpoints": [{"address": "10.1.1.3", "node": "node1", "port": 80, "ready": true, "serving": true, "terminating": false, "zones": []}, {"address": "10.1.2.3", "node": "node2", "port": 80, "ready": true, "serving": true, "terminating": false, "zones": []}], "external_ips": [], "external_local": false, "health_check_node_port": 0, "internal_local": false, "load_balancer_ips": [], "node_port": 30080, "port": 80, "port_name": "http", "protocol": "tcp", "service": "default/web", "source_ranges": []}], "reject_undefined_ports": false, "service_cidr": "10.96.0.0/16", "zone": ""}, "row": "b2cb657c201d3880798a85d2f3d45469715d0e95ec7f6a9a322c70961ed1417e", "spelled": {}, "udp": false}
END


# --- Remember it ----------------------------------------------------------------------------------------------------

# podlab's own memory: what the settings were, and where everything in the cluster is.
cat >/var/lib/podlab/record.json <<'END'
{"cluster": {"created": {"deployment/default/web": "2030-01-01T00:00:00Z", "namespace/default": "2030-01-01T00:00:00Z", "namespace/kube-node-lease": "2030-01-01T00:00:00Z", "namespace/kube-public": "2030-01-01T00:00:00Z", "namespace/kube-system": "2030-01-01T00:00:00Z", "node/node1": "2030-01-01T00:00:00Z", "node/node2": "2030-01-01T00:00:00Z"}, "endpoints": {}, "generation": 1, "namespaces": ["default", "kube-system", "kube-public", "kube-node-lease"], "nodes": {"node1": {"address": "10.100.0.2", "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "disktype": "ssd", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "node1", "kubernetes.io/os": "linux"}}, "node2": {"address": "10.100.0.3", "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "disktype": "ssd", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "node2", "kubernetes.io/os": "linux"}}}, "objects": {}, "services": {"default/web": {"body": {"apiVersion": "v1", "kind": "Service", "metadata": {"labels": {"app": "web"}, "name": "web"}, "spec": {"ports": [{"name": "http", "nodePort": 30080, "port": 80, "targetPort": "http"}], "selector": {"app": "web"}, "type": "NodePort"}}, "clusterIP": "10.96.54.115", "created": "2030-01-01T00:00:00Z", "nodePorts": [30080]}}, "slices": {"default/web-rh9hr": {"created": "2030-01-01T00:00:00Z", "endpoints": [{"address": "10.1.1.3", "node": "node1", "ready": true, "serving": true, "target": "default/web-bj5g7cqwgs-67xfb"}, {"address": "10.1.2.3", "node": "node2", "ready": true, "serving": true, "target": "default/web-bj5g7cqwgs-2zn8l"}], "manager": "endpointslice-controller.k8s.io", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "service": "web"}}, "waiting": [], "workloads": [{"containers": ["agnhost"], "desired": 2, "images": ["registry.k8s.io/e2e-test-images/agnhost:2.53"], "kind": "Deployment", "labels": {"app": "web"}, "name": "web", "namespace": "default", "nodeSelector": {}, "parallelism": 1, "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "serviceName": "", "strategy": "RollingUpdate", "templateHash": "bj5g7cqwgs"}]}, "cursor": "10.1.1.3", "foreign": [], "network": {"cidr": "10.1.0.0/16", "generation": 1, "podCIDRs": {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}}, "node": "node1", "pods": {"node1": {"generation": 1, "pods": {"default/pair": ["10.1.1.2", "2030-01-01T00:00:00Z"], "default/web-bj5g7cqwgs-67xfb": ["10.1.1.3", "2030-01-01T00:00:00Z"]}}, "node2": {"generation": 1, "pods": {"default/toolbox": ["10.1.2.2", "2030-01-01T00:00:00Z"], "default/web-bj5g7cqwgs-2zn8l": ["10.1.2.3", "2030-01-01T00:00:00Z"]}}}, "sysctls": {"net.bridge.bridge-nf-call-iptables": "1", "net.ipv4.conf.all.route_localnet": "0", "net.ipv4.conf.default.forwarding": "0", "net.ipv4.conf.eth0.forwarding": "0", "net.ipv4.ip_forward": "0"}, "version": 2}
END
chmod 600 /var/lib/podlab/record.json
