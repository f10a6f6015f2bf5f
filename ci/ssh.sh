#!/usr/bin/env bash
# Has SSH_KEY and SSH_KNOWN_HOSTS where ssh looks for them. Does nothing without a key: then
# DOCKER_HOST is reached in another way.
set -euo pipefail
umask 077
[ -n "${SSH_KEY:-}" ] || exit 0
: "${SSH_KNOWN_HOSTS:?without the host keys of the manager, anybody could pass for it (ssh-keyscan)}"
mkdir -p ~/.ssh
printf '%s\n' "$SSH_KEY" >~/.ssh/id_ed25519
printf '%s\n' "$SSH_KNOWN_HOSTS" >>~/.ssh/known_hosts
