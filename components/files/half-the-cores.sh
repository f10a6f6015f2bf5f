#!/bin/sh
# half-the-cores COMMAND… - runs COMMAND, a program in Go, on half of the cores, rounded up.
# For a Traefik in front of registries alone: they need twice its CPU for each byte. Else Go looks for
# work on every core, also where a registry or a client has some, and all of them are slower.
if cores=$(nproc 2>/dev/null); then
    export GOMAXPROCS=$(((cores + 1) / 2))
fi
exec "$@"
