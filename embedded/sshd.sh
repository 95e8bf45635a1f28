# Inside an embedded host, as its root: let it be reached over SSH, and its users become root with sudo.
#
# Standard input is a tar archive for /srv/ssh: openssh-server and sudo out of their Debian packages, and what over_ssh.py
# has made for this host. Nothing is written to the host's /usr: where the machine is a container itself, that cannot be.
# What belongs to root must be of the host's own root; the machine's files belong to an id that no lab has.
set -eu
umask 022
ssh=/srv/ssh
mkdir -p $ssh /run/sshd
tar -x -p --no-same-owner -C $ssh

# new FILE MODE: standard input in place of a file of the machine's.
new() { rm -f "$1"; cat >"$1"; chmod "$2" "$1"; }

# user NAME ID HASH
users='sshd instructor assistant'
user() {
    echo "$1:x:$2:$2::/home/$1:/bin/sh" >>/etc/passwd
    echo "$1:x:$2:" >>/etc/group
    echo "$1:$3:19000:0:99999:7:::" >>/etc/shadow
    mkdir -p "/home/$1" && chown "$2:$2" "/home/$1"
}
for name in $users; do sed -i "/^$name:/d" /etc/passwd /etc/group; done
echo 'root:*:19000:0:99999:7:::' | new /etc/shadow 640
echo 'root:*::' | new /etc/gshadow 640
# A number of its own in a container without many ids.
user sshd 60000 '*'
user instructor 60001 '*'
user assistant 60002 "$(cat $ssh/password)"

new /etc/sudoers 440 <<END
Defaults lecture=never, timestamp_timeout=0, secure_path="$ssh/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL) ALL
instructor ALL=(ALL) NOPASSWD: ALL
assistant ALL=(ALL) ALL
END
plugins=$(dirname $ssh/usr/lib*/sudo/sudoers.so)
new /etc/sudo.conf 644 <<END
Plugin sudoers_policy $plugins/sudoers.so
END
chmod 4755 $ssh/usr/bin/sudo
mkdir -p /etc/pam.d
mount --bind $ssh/pam.d /etc/pam.d

{ echo "$plugins"; for directory in $ssh/usr/lib/*/ $ssh/lib/*/; do echo "$directory"; done; echo 'include /etc/ld.so.conf.d/*.conf'; } |
    new /etc/ld.so.conf 644
ldconfig 2>/dev/null
exec $ssh/usr/sbin/sshd -f $ssh/sshd_config -E /run/sshd.log
