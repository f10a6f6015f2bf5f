#!/bin/sh
# `sh init.sh NAME FOLDER`: becomes process 1 of a node's PID namespace. With it goes every process of
# the node.
set -e
hostname "$1"
node=$2
mount --bind "$node/run" /run
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$node/etc,workdir=$node/work" /etc
mount --bind "$node/hosts" /etc/hosts
unset DOCKER_HOST DOCKER_CONTEXT
exec docker-init -- dockerd --config-file "$node/daemon.json"
