#!/bin/sh
# Whether this pod is the primary: only then is it behind the Service `redis-primary`, so that clients
# need know nothing of Sentinel.
set -eu
REDISCLI_AUTH="$(cat /etc/redis/password)" valkey-cli --raw role | head -n 1 | grep -qx master
