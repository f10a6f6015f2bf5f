#!/bin/sh
# Flags, or one of Traefik's own commands: that is for Traefik.
set -e
case "$1" in
    traefik) ;;
    -* | healthcheck | version) set -- traefik "$@" ;;
esac
exec "$@"
