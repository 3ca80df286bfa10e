#!/bin/bash
# What a guest does once it has a root directory of its own; see init.sh.
set -u
labdir=$1
. "$labdir/guest.env"

mount_files() {
  umount -l /run/machine
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t devtmpfs devtmpfs /dev
  mkdir -p /dev/pts /dev/shm
  mount -t devpts devpts /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t tmpfs -o mode=755 run /run
  mkdir -p /run/lab/log /run/lock /run/netns /var/run
  # What a guest writes here the machine sees: its logs.
  mount -t hostfs -o "$labdir/log" hostfs /run/lab/log
  mount --make-rshared /
  mkdir -p "/lib/modules"
  ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
}

load_modules() {
  # One command, since a process costs a guest dearly. -a goes on after a module that is missing.
  modprobe -a 8021q vxlan ipvlan macvlan dummy veth bridge br_netfilter tun \
    nf_tables nft_compat nft_chain_nat ip_tables iptable_nat iptable_filter iptable_mangle \
    ip6_tables ip6table_filter ip6table_nat ip6table_mangle nf_conntrack nf_conntrack_netlink \
    xt_conntrack xt_comment xt_mark xt_MASQUERADE xt_addrtype xt_statistic xt_recent xt_nat \
    xt_REDIRECT xt_LOG xt_limit xt_multiport xt_tcpudp xt_set xt_physdev ipt_REJECT ip6t_REJECT
}

name_interfaces() {
  # LAB_NICS holds words of the form vec0,eth0,ADDRESS/PREFIX.
  local nic from to address
  ip link set lo up
  for nic in $LAB_NICS; do
    IFS=, read -r from to address <<< "$nic"
    ip link set "$from" name "$to"
    ip address add "$address" dev "$to"
    ip link set "$to" up
  done
}

if [ "$LAB_MODE" = bare ]; then
  mount_files
  load_modules > /run/lab/log/modules.log 2>&1
  name_interfaces
  hostname guest
  cd "$LAB_DIRECTORY"
  bash "$labdir/command.sh" > /run/lab/log/stdout 2> /run/lab/log/stderr < /dev/null
  echo $? > /run/lab/log/status.partial
  mv /run/lab/log/status.partial /run/lab/log/status
  poweroff -f
fi

supervise() { # NAME COMMAND...: like a service of an init system, started again when it ends
  local name=$1
  shift
  (
    while :; do
      "$@" >> "/run/lab/log/$name.log" 2>&1 < /dev/null
      echo "$name ended with status $?; starting it again" >> "/run/lab/log/$name.log"
      sleep 1
    done
  ) &
}

mount_files
hostname "$LAB_NODE"
echo "127.0.0.1 localhost $LAB_NODE" > /etc/hosts
: > /run/lab/resolv.conf
echo "$LAB_MACHINE_ID" > /etc/machine-id
load_modules > /run/lab/log/modules.log 2>&1
name_interfaces
for route in $LAB_ROUTES; do # DESTINATION,GATEWAY
  ip route add "${route%,*}" via "${route#*,}"
done
supervise agent "$LAB_PYTHON" -I -S "$labdir/agent.py" "$labdir/agent.json"

sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 \
  fs.inotify.max_user_instances=1024 kernel.panic=10 vm.overcommit_memory=1

# The form of iptables that this kernel has.
for family in iptables ip6tables; do
  for command in $family $family-save $family-restore; do
    ln -sf xtables-legacy-multi "/usr/sbin/$command"
  done
done

# cAdvisor insists on a line that this architecture lacks.
(grep . /proc/cpuinfo; printf 'cpu MHz\t\t: 2000.000\n') > /run/lab/cpuinfo
mount --bind /run/lab/cpuinfo /proc/cpuinfo

mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in cpu io memory pids cpuset; do
  echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control || echo "no controller $controller"
done

# Writable layers of containers cannot lie on an overlay. The rest starts empty, whatever the
# machine has there.
for directory in /var/lib/containerd /var/lib/kubelet /var/lib/cni /var/lib/danm /var/log \
  /etc/cni /opt; do
  mkdir -p "$directory"
  mount -t tmpfs -o mode=755 node "$directory"
done
mkdir -p /etc/cni/net.d /opt/cni/bin /run/cni-bin/upper /run/cni-bin/work
# Symbolic links would lead out of what a Pod mounts; copies would take seconds.
mount -t overlay -o "lowerdir=$LAB_CNI_PLUGINS,upperdir=/run/cni-bin/upper,workdir=/run/cni-bin/work" \
  overlay /opt/cni/bin
cp "$labdir/flannel.conf" /etc/cni/net.d/flannel.conf

# The images that the machine has unpacked: databases of this guest's own, the bulk by reference.
content=/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256
snapshots=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs
bolt=/var/lib/containerd/io.containerd.metadata.v1.bolt
mkdir -p "$content" "$snapshots/snapshots" "$bolt"
ln -s -t "$content" "$LAB_IMAGE_STORE"/io.containerd.content.v1.content/blobs/sha256/*
ln -s -t "$snapshots/snapshots" \
  "$LAB_IMAGE_STORE"/io.containerd.snapshotter.v1.overlayfs/snapshots/*
cp "$labdir/images/metadata.db" "$snapshots/metadata.db"
cp "$labdir/images/meta.db" "$bolt/meta.db"

# A node that is booted again has nothing of before, but for what a test has kept for it.
if [ -f "$labdir/restore.tar" ]; then
  tar -C / -xf "$labdir/restore.tar"
fi

# Signals and context switches are what costs here; memory is plenty.
export GODEBUG=asyncpreemptoff=1 GOGC=400

supervise containerd env PATH="$LAB_CONTAINERD:$PATH" "$LAB_CONTAINERD/containerd" \
  --config "$labdir/containerd.toml"
until "$LAB_CONTAINERD/ctr" version > /dev/null 2>&1; do sleep 0.2; done
supervise kubelet "$LAB_KUBERNETES/kubelet" --config "$labdir/kubelet.yaml" \
  --kubeconfig "$labdir/kubelet.kubeconfig" --hostname-override "$LAB_NODE" \
  --node-ip "$LAB_ADDRESS" --root-dir /var/lib/kubelet
supervise kube-proxy "$LAB_KUBERNETES/kube-proxy" --config "$labdir/kube-proxy.yaml"
echo "$LAB_NODE started"
# Bash reaps what loses its parent, which is all that PID 1 has to do from here on.
while :; do wait; sleep 60; done
