#!/bin/bash
# The first process of the node's namespaces: when it ends, the kernel ends all that runs in them.
#
# It lays the ground that a node needs, starts the control plane and the node's programs, and collects their children.
# Variables: NODE (the node's directory), CONTROL_PLANE and PROGRAMS (directories of programs), ADDRESS (the node's).
set -eu
hostname node

# sysfs belongs to a network namespace: a new one, with the control groups of the machine put back below it.
mkdir -p "$NODE/mounts/cgroup"
mount --rbind /sys/fs/cgroup "$NODE/mounts/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$NODE/mounts/cgroup" /sys/fs/cgroup
umount --lazy "$NODE/mounts/cgroup"

# What is written to fixed places of the file system stays in the node's directory, or in memory.
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock
mount -t tmpfs log /var/log
mount -t overlay -o "lowerdir=/var/lib,upperdir=$NODE/overlay/upper,workdir=$NODE/overlay/work" lib /var/lib

# The kubelet sets these for the whole machine, namespaces or not: files stand in for them.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
  kernel/keys/root_maxbytes; do
  copy="$NODE/mounts/${name//\//-}"
  cat "/proc/sys/$name" > "$copy"
  mount --bind "$copy" "/proc/sys/$name"
done
mount --make-rshared /

# An address for the node. A pair of its own, because not every kernel has the device called dummy.
ip link set lo up
ip link add node0 type veth peer name node1
ip link set node1 up
ip addr add "$ADDRESS/24" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 2> /dev/null > /proc/sys/net/bridge/bridge-nf-call-iptables || true

run() { # NAME COMMAND...: starts a program with a log of its own
  local log="$NODE/logs/$1.log"
  shift
  "$@" >> "$log" 2>&1 < /dev/null &
}

always() { # COMMAND...: starts it again whenever it ends, as the machine's own supervisor would
  while :; do
    "$@" || true
    sleep 1
  done
}

pki="$NODE/certificates"
run etcd "$CONTROL_PLANE/etcd" --name=node --data-dir="$NODE/etcd" --log-level=warn --unsafe-no-fsync=true \
  --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
  --initial-cluster=node=http://127.0.0.1:2380
run kube-apiserver "$CONTROL_PLANE/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --bind-address=0.0.0.0 --advertise-address="$ADDRESS" --secure-port=6443 --cert-dir="$pki" \
  --tls-cert-file="$pki/kube-apiserver.crt" --tls-private-key-file="$pki/kube-apiserver.key" \
  --client-ca-file="$pki/ca.crt" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --allow-privileged=true --service-cluster-ip-range=10.96.0.0/16 \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$pki/service-accounts.pub" --service-account-signing-key-file="$pki/service-accounts.key" \
  --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
  --kubelet-preferred-address-types=InternalIP

export PATH="$PROGRAMS:$PATH" # containerd looks for its shim there
run containerd containerd --config "$NODE/containerd.toml"
run kube-controller-manager kube-controller-manager --kubeconfig="$NODE/kube-controller-manager.kubeconfig" \
  --leader-elect=false --bind-address=127.0.0.1 --use-service-account-credentials=true \
  --service-account-private-key-file="$pki/service-accounts.key" --root-ca-file="$pki/ca.crt"
run kube-scheduler kube-scheduler --kubeconfig="$NODE/kube-scheduler.kubeconfig" --leader-elect=false \
  --bind-address=127.0.0.1

# The kubelet ends if containerd does not answer when it starts.
for _ in $(seq 400); do
  ctr --address /run/containerd/containerd.sock version > /dev/null 2>&1 && break
  sleep 0.05
done
run kubelet always kubelet --config="$NODE/kubelet.yaml" --kubeconfig="$NODE/node.kubeconfig" --root-dir="$NODE/kubelet" \
  --node-ip="$ADDRESS" --hostname-override=node --cert-dir="$pki"
run kube-proxy kube-proxy --config="$NODE/kube-proxy.yaml"
run coredns coredns -conf "$NODE/Corefile"
touch "$NODE/started"
while :; do
  wait -n || true
  sleep 1
done
