#!/bin/sh
# The machine's name, addresses and key, from the kernel's command line: lab.name=, lab.key= (of ssh-ed25519) and
# lab.leg=DEVICE,ADDRESS[,GATEWAY], once for each link. An image then holds nothing of the machine that it becomes.
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/systemd/network
for word in $(cat /proc/cmdline); do
    case $word in
        lab.name=*)
            name=${word#*=}
            [ "$(cat /etc/hostname)" = "$name" ] || { echo "$name" >/etc/hostname; echo "127.0.1.1 $name" >>/etc/hosts; }
            hostname "$name" ;;
        lab.key=*)
            install -d -m 700 -o admin -g admin /home/admin/.ssh
            echo "ssh-ed25519 ${word#*=}" >/home/admin/.ssh/authorized_keys ;;
        lab.leg=*)
            IFS=, read -r device address gateway <<LEG
${word#*=}
LEG
            {
                printf '[Match]\nName=%s\n[Network]\nAddress=%s\nIPv6AcceptRA=no\n' "$device" "$address"
                [ -z "$gateway" ] || printf 'Gateway=%s\n' "$gateway"
            } >"/run/systemd/network/10-$device.network" ;;
    esac
done
