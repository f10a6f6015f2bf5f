#!/bin/sh
# storage-first COMMAND… - runs the registry COMMAND once its storage can be read.
# Until then nothing listens, so the health check fails, and an update with wrong credentials or a
# wrong bucket is undone while the old tasks still serve. The registry's own check can't tell: it
# reports nothing wrong until it has asked the storage several times in vain.
# A trial registry is asked, on loopback and without login.
address=127.0.0.1:5999
REGISTRY_HTTP_ADDR=$address REGISTRY_AUTH=none REGISTRY_LOG_LEVEL=error "$@" &
trial=$!
for pause in 0.1 0.2 0.4 1 2 4 8; do
    if timeout 5 wget -q -O /dev/null "http://$address/v2/_catalog?n=1" 2>/dev/null; then
        kill "$trial"
        wait "$trial"
        exec "$@"
    fi
    # It may have ended by itself.
    kill -0 "$trial" 2>/dev/null || break
    sleep "$pause"
done
echo "The registry can't read its storage: the lines above say why." >&2
exit 1
