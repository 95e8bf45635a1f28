s6-svc -wd -d /run/podlab/services/default_api.side && rm -r /run/podlab/services/default_api.side && s6-svscanctl -an /run/podlab/services
s6-svc -wd -d /run/podlab/services/default_web.main && rm -r /run/podlab/services/default_web.main && s6-svscanctl -an /run/podlab/services
s6-svc -wd -d /run/podlab/services/default_web.side && rm -r /run/podlab/services/default_web.side && s6-svscanctl -an /run/podlab/services
ip link del veth7e9b3e61
pkill -KILL --ns $$ --nslist mnt -f '^catatonit -P podlab-pod default_web$'
umount /run/podlab/pods/default_web/ipc /run/podlab/pods/default_web/uts && ip netns del default_web && rm -r /run/podlab/pods/default_web
umount /run/podlab/shm/default_web && rmdir /run/podlab/shm/default_web
rm -r /var/log/pods/default_web
for dir in /run/netns /run/podlab/pods; do mkdir -p $dir; mount --make-shared $dir 2>/dev/null || mount --bind --make-private --make-shared $dir $dir; done
mkdir -p /run/podlab/pods/default_new && touch /run/netns/default_new /run/podlab/pods/default_new/ipc /run/podlab/pods/default_new/uts
unshare --net=/run/netns/default_new --ipc=/run/podlab/pods/default_new/ipc --uts=/run/podlab/pods/default_new/uts sh -c 'hostname "$0" && exec sysctl -qw "$@"' new net.ipv4.ip_unprivileged_port_start=0
setsid nsenter --net=/run/netns/default_new --ipc=/run/podlab/pods/default_new/ipc --uts=/run/podlab/pods/default_new/uts catatonit -P podlab-pod default_new &
ip link add veth1bea513c mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:04 mtu 1500 netns default_new
ip link set veth1bea513c alias "podlab default/new" master cbr0 up
ip link set veth1bea513c type bridge_slave hairpin on
ip -n default_new link set lo up
ip -n default_new addr add 10.1.1.4/24 brd + dev eth0
ip -n default_new link set eth0 up
ip -n default_new route add default via 10.1.1.1 dev eth0
ip netns exec default_new busybox arping -q -c 1 -A -I eth0 10.1.1.4
# write /run/podlab/pods/default_new/{hostname,hosts,resolv.conf}
s6-svscanctl -a /run/podlab/services || setsid s6-svscan -c 10000 /run/podlab/services &
# write /run/podlab/services/default_new.main/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_new.main: sleep 9
# write /run/podlab/services/default_new.side/{run,enter,identity,env,log,finish,timeout-finish,restarts}
s6-svscanctl -a /run/podlab/services  # default_new.side: echo 'it'"'"'s'
# write /run/podlab/pods/default_new/pod.json
# write /run/podlab/pods/default_api/pod.json
