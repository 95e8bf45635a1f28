# node1

# node2

# node3
sysctl -w net.ipv4.ip_forward=1
ip link add cbr0 address 0a:58:0a:01:03:01 mtu 1500 type bridge
ip link set cbr0 alias podlab up
ip addr add 10.1.3.1/24 brd + dev cbr0
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
ip route replace 10.1.3.0/24 via 10.100.0.4 proto 117
