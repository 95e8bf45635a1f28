ip link add br-out address 0a:58:c0:a8:d4:01 type bridge
ip link set br-out alias podlab-namespace up
ip addr add 192.168.212.1/24 brd + dev br-out
ip netns add alone
ip -n alone link set lo alias podlab-namespace up
ip -n alone link add eth0 type dummy
ip -n alone addr add 192.168.222.10/24 brd + dev eth0
ip -n alone link set eth0 up
ip netns add near
ip -n near link set lo alias podlab-namespace up
ip link add veth-near type veth peer name eth0 address 0a:58:c0:a8:ca:0b netns near
ip link set veth-near alias podlab-namespace up
ip addr add 192.168.202.1/24 brd + dev veth-near
ip -n near addr add 192.168.202.11/24 brd + dev eth0
ip -n near link set eth0 up
ip netns add out
ip -n out link set lo alias podlab-namespace up
ip link add veth-out type veth peer name eth0 address 0a:58:c0:a8:d4:0b netns out
ip link set veth-out alias podlab-namespace master br-out up
ip -n out addr add 192.168.212.11/24 brd + dev eth0
ip -n out link set eth0 up
ip -n out route add default via 192.168.212.1 dev eth0
sysctl -w net.ipv4.ip_forward=1
iptables -t filter -A FORWARD -i br-out -m comment --comment podlab-namespace -j ACCEPT
iptables -t filter -A FORWARD -o br-out -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment podlab-namespace -j ACCEPT
iptables -t nat -A POSTROUTING -s 192.168.212.0/24 ! -o br-out -m comment --comment podlab-namespace -j MASQUERADE
