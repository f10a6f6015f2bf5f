#!/bin/sh
# graceful-stop SECONDS COMMAND… - runs COMMAND, and on SIGTERM lets it serve on for SECONDS first.
# Swarm tells Traefik and the task of a stop at the same time, and Traefik looks now and then: until
# it has, it sends requests here. The exit code is COMMAND's own.
linger=$1
shift

stop() {
    interrupted=yes
    # Before the start there is nothing to end yet, and one timer is enough.
    if [ -n "$child" ] && [ -z "$timer" ]; then
        # Asked until it has ended: a signal in the first moments of a process may be lost on it.
        (sleep "$linger" && while kill "$child"; do sleep 1; done) 2>/dev/null &
        timer=$!
    fi
}

child='' timer='' interrupted=''
trap stop TERM
"$@" &
child=$!
# The signal may have come before the process was known.
[ -z "$interrupted" ] || stop
code=127
while
    interrupted=''
    wait "$child"
    status=$?
    # 127: a child that the shell has told the code of already, or a command that there isn't.
    [ "$status" = 127 ] || code=$status
    # 143: maybe it was the signal that ended the wait, and not the child.
    [ "$status" = 143 ] && [ -n "$interrupted" ]
do :; done
exit "$code"
