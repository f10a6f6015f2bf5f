#!/bin/sh
# A configuration file or one of the registry's own commands: that is for the registry.
set -e
case "$1" in
    *.yml | *.yaml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
