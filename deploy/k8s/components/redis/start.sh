#!/bin/sh
# Starts Valkey (`start.sh server`) or its Sentinel (`start.sh sentinel`) of one of three pods. Who is
# the primary the Sentinels know; where none answers, which is the first start of all, it is redis-0.
set -eu
self="$(hostname).redis"
primary() {
    for pod in 0 1 2; do
        found="$(valkey-cli -h "redis-$pod.redis" -p 26379 --raw sentinel get-master-addr-by-name mawja \
            2>/dev/null | head -n 1)" || continue
        [ -n "$found" ] && { echo "$found"; return; }
    done
    echo redis-0.redis
}
pass="$(cat /etc/redis/password)"
if [ "$1" = server ]; then
    found="$(primary)"
    {
        echo "requirepass $pass"
        echo "masterauth $pass"
        echo "replica-announce-ip $self"
        echo "dir /tmp"
        echo 'save ""'
        echo "appendonly no"
        # A copy of all of it goes to memory, not to the small disk.
        echo "repl-diskless-load on-empty-db"
        echo "maxmemory 1gb"
        # A view that lost a key unnoticed would answer wrong: a full one says so.
        echo "maxmemory-policy noeviction"
        [ "$found" = "$self" ] || echo "replicaof $found 6379"
    } > /tmp/valkey.conf
    exec valkey-server /tmp/valkey.conf
fi
{
    echo "port 26379"
    echo "dir /tmp"
    echo "sentinel resolve-hostnames yes"
    echo "sentinel announce-hostnames yes"
    echo "sentinel announce-ip $self"
    echo "sentinel monitor mawja $(primary) 6379 2"
    echo "sentinel auth-pass mawja $pass"
    echo "sentinel down-after-milliseconds mawja 3000"
    echo "sentinel failover-timeout mawja 10000"
} > /tmp/sentinel.conf
exec valkey-server /tmp/sentinel.conf --sentinel
