# node1
sysctl -w net.ipv4.ip_forward=1
ip link add cbr0 address 0a:58:0a:01:01:01 mtu 1500 type bridge
ip link set cbr0 alias podlab up
ip addr add 10.1.1.1/24 brd + dev cbr0
for dir in /run/netns /run/podlab/pods; do mkdir -p $dir; mount --make-shared $dir 2>/dev/null || mount --bind --make-private --make-shared $dir $dir; done
mkdir -p /run/podlab/pods/default_pair && touch /run/netns/default_pair /run/podlab/pods/default_pair/ipc /run/podlab/pods/default_pair/uts
unshare --net=/run/netns/default_pair --ipc=/run/podlab/pods/default_pair/ipc --uts=/run/podlab/pods/default_pair/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' pair net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_pair --ipc=/run/podlab/pods/default_pair/ipc --uts=/run/podlab/pods/default_pair/uts catatonit -P podlab-pod default_pair &
mkdir -p /run/podlab/pods/default_web-bj5g7cqwgs-67xfb && touch /run/netns/default_web-bj5g7cqwgs-67xfb /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts
unshare --net=/run/netns/default_web-bj5g7cqwgs-67xfb --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' web-bj5g7cqwgs-67xfb net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_web-bj5g7cqwgs-67xfb --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-67xfb/uts catatonit -P podlab-pod default_web-bj5g7cqwgs-67xfb &
ip link add veth873946b3 mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:02 mtu 1500 netns default_pair
ip link set veth873946b3 alias "podlab default/pair" master cbr0 up
ip link set veth873946b3 type bridge_slave hairpin on
ip link add veth3cf79bce mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:03 mtu 1500 netns default_web-bj5g7cqwgs-67xfb
ip link set veth3cf79bce alias "podlab default/web-bj5g7cqwgs-67xfb" master cbr0 up
ip link set veth3cf79bce type bridge_slave hairpin on
ip -n default_pair link set lo up
ip -n default_pair addr add 10.1.1.2/24 brd + dev eth0
ip -n default_pair link set eth0 up
ip -n default_pair route add default via 10.1.1.1 dev eth0
ip -n default_web-bj5g7cqwgs-67xfb link set lo up
ip -n default_web-bj5g7cqwgs-67xfb addr add 10.1.1.3/24 brd + dev eth0
ip -n default_web-bj5g7cqwgs-67xfb link set eth0 up
ip -n default_web-bj5g7cqwgs-67xfb route add default via 10.1.1.1 dev eth0
ip netns exec default_pair busybox arping -q -c 1 -A -I eth0 10.1.1.2
ip netns exec default_web-bj5g7cqwgs-67xfb busybox arping -q -c 1 -A -I eth0 10.1.1.3
mkdir -p /var/lib/podlab/volumes/default_pair/pages && chmod 700 /var/lib/podlab/volumes/default_pair && chmod 777 /var/lib/podlab/volumes/default_pair/pages
# write /run/podlab/pods/default_pair/{hostname,hosts,resolv.conf}
# write /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/{hostname,hosts,resolv.conf}
s6-svscanctl -a /run/podlab/services || setsid s6-svscan -c 10000 /run/podlab/services &
# write /run/podlab/services/default_pair.server/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_pair.server: nginx -g 'daemon off;'
# write /run/podlab/services/default_pair.client/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_pair.client: sh -c 'while :; do hostname >/pages/index.html; wget -qO- http://localhost/; sleep 5; done'
# write /run/podlab/services/default_web-bj5g7cqwgs-67xfb.agnhost/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_web-bj5g7cqwgs-67xfb.agnhost: /opt/podlab/agnhost netexec --http-port=80 --udp-port=80
# write /run/podlab/pods/default_pair/pod.json
# write /run/podlab/pods/default_web-bj5g7cqwgs-67xfb/pod.json
ip route replace 10.1.0.0/16 via 10.100.0.1 proto 117
iptables -t nat -N PODLAB-EGRESS || iptables -t nat -F PODLAB-EGRESS
iptables -t nat -A PODLAB-EGRESS -m mark --mark 0x4000/0x4000 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.1.0.0/16 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.0.0.0/8 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 224.0.0.0/4 -j RETURN
iptables -t nat -A PODLAB-EGRESS -j MASQUERADE --random-fully
iptables -t nat -A POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS
iptables -t filter -N PODLAB-FORWARD || iptables -t filter -F PODLAB-FORWARD
iptables -t filter -N PODLAB-INPUT || iptables -t filter -F PODLAB-INPUT
iptables -t filter -A PODLAB-FORWARD -s 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-FORWARD -d 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -t filter -A PODLAB-INPUT -p tcp -m tcp --dport 20256 -j ACCEPT
iptables -t filter -A INPUT -j PODLAB-INPUT
iptables -t filter -A FORWARD -j PODLAB-FORWARD

# node2
sysctl -w net.ipv4.ip_forward=1
ip link add cbr0 address 0a:58:0a:01:02:01 mtu 1500 type bridge
ip link set cbr0 alias podlab up
ip addr add 10.1.2.1/24 brd + dev cbr0
for dir in /run/netns /run/podlab/pods; do mkdir -p $dir; mount --make-shared $dir 2>/dev/null || mount --bind --make-private --make-shared $dir $dir; done
mkdir -p /run/podlab/pods/default_toolbox && touch /run/netns/default_toolbox /run/podlab/pods/default_toolbox/ipc /run/podlab/pods/default_toolbox/uts
unshare --net=/run/netns/default_toolbox --ipc=/run/podlab/pods/default_toolbox/ipc --uts=/run/podlab/pods/default_toolbox/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' toolbox net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_toolbox --ipc=/run/podlab/pods/default_toolbox/ipc --uts=/run/podlab/pods/default_toolbox/uts catatonit -P podlab-pod default_toolbox &
mkdir -p /run/podlab/pods/default_web-bj5g7cqwgs-2zn8l && touch /run/netns/default_web-bj5g7cqwgs-2zn8l /run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/ipc /run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/uts
unshare --net=/run/netns/default_web-bj5g7cqwgs-2zn8l --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' web-bj5g7cqwgs-2zn8l net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_web-bj5g7cqwgs-2zn8l --ipc=/run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/ipc --uts=/run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/uts catatonit -P podlab-pod default_web-bj5g7cqwgs-2zn8l &
ip link add veth367eaa30 mtu 1500 type veth peer name eth0 address 0a:58:0a:01:02:02 mtu 1500 netns default_toolbox
ip link set veth367eaa30 alias "podlab default/toolbox" master cbr0 up
ip link set veth367eaa30 type bridge_slave hairpin on
ip link add veth2ad8082f mtu 1500 type veth peer name eth0 address 0a:58:0a:01:02:03 mtu 1500 netns default_web-bj5g7cqwgs-2zn8l
ip link set veth2ad8082f alias "podlab default/web-bj5g7cqwgs-2zn8l" master cbr0 up
ip link set veth2ad8082f type bridge_slave hairpin on
ip -n default_toolbox link set lo up
ip -n default_toolbox addr add 10.1.2.2/24 brd + dev eth0
ip -n default_toolbox link set eth0 up
ip -n default_toolbox route add default via 10.1.2.1 dev eth0
ip -n default_web-bj5g7cqwgs-2zn8l link set lo up
ip -n default_web-bj5g7cqwgs-2zn8l addr add 10.1.2.3/24 brd + dev eth0
ip -n default_web-bj5g7cqwgs-2zn8l link set eth0 up
ip -n default_web-bj5g7cqwgs-2zn8l route add default via 10.1.2.1 dev eth0
ip netns exec default_toolbox busybox arping -q -c 1 -A -I eth0 10.1.2.2
ip netns exec default_web-bj5g7cqwgs-2zn8l busybox arping -q -c 1 -A -I eth0 10.1.2.3
# write /run/podlab/pods/default_toolbox/{hostname,hosts,resolv.conf}
# write /run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/{hostname,hosts,resolv.conf}
s6-svscanctl -a /run/podlab/services || setsid s6-svscan -c 10000 /run/podlab/services &
# write /run/podlab/services/default_toolbox.netshoot/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_toolbox.netshoot: sleep infinity
# write /run/podlab/services/default_web-bj5g7cqwgs-2zn8l.agnhost/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_web-bj5g7cqwgs-2zn8l.agnhost: /opt/podlab/agnhost netexec --http-port=80 --udp-port=80
# write /run/podlab/pods/default_toolbox/pod.json
# write /run/podlab/pods/default_web-bj5g7cqwgs-2zn8l/pod.json
ip route replace 10.1.0.0/16 via 10.100.0.1 proto 117
iptables -t nat -N PODLAB-EGRESS || iptables -t nat -F PODLAB-EGRESS
iptables -t nat -A PODLAB-EGRESS -m mark --mark 0x4000/0x4000 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.1.0.0/16 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 10.0.0.0/8 -j RETURN
iptables -t nat -A PODLAB-EGRESS -d 224.0.0.0/4 -j RETURN
iptables -t nat -A PODLAB-EGRESS -j MASQUERADE --random-fully
iptables -t nat -A POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS
iptables -t filter -N PODLAB-FORWARD || iptables -t filter -F PODLAB-FORWARD
iptables -t filter -N PODLAB-INPUT || iptables -t filter -F PODLAB-INPUT
iptables -t filter -A PODLAB-FORWARD -s 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-FORWARD -d 10.1.0.0/16 -j ACCEPT
iptables -t filter -A PODLAB-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -t filter -A PODLAB-INPUT -p tcp -m tcp --dport 20256 -j ACCEPT
iptables -t filter -A INPUT -j PODLAB-INPUT
iptables -t filter -A FORWARD -j PODLAB-FORWARD

# gateway
sysctl -w net.ipv4.ip_forward=1
sysctl -w net.ipv4.conf.all.send_redirects=0
sysctl -w net.ipv4.conf.eth0.send_redirects=0
ip route replace 10.1.1.0/24 via 10.100.0.2 proto 117
ip route replace 10.1.2.0/24 via 10.100.0.3 proto 117
