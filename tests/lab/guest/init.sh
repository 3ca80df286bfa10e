#!/bin/bash
# PID 1 of a guest. Lays a writable overlay over the machine's files, which stay read-only, and
# runs a node of the cluster in it, or (bare) one command.
#
# The directory named by labdir= on the kernel's command line holds guest.env and all else that
# this guest needs. Only its subdirectory log/ is written to.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
mount -t proc proc /proc
for word in $(< /proc/cmdline); do
  case $word in labdir=*) labdir=${word#labdir=} ;; esac
done
. "$labdir/guest.env"

mount -t tmpfs -o size=80% overlay /mnt
mkdir -p /mnt/upper /mnt/work /mnt/root /mnt/modules/lib/modules
ln -s "/usr/lib/uml/modules/$(uname -r)" /mnt/modules/lib/modules/
modprobe -d /mnt/modules overlay
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root

# A real change of root, not only a chroot: whoever enters this mount namespace (a privileged Pod,
# for one) must find the overlay there and never the machine's own files.
mkdir -p /mnt/root/run/machine
cd /mnt/root
pivot_root . run/machine
exec chroot . /bin/bash "$labdir/node.sh" "$labdir" < /dev/console > /dev/console 2>&1
