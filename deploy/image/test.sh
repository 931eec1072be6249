#!/bin/sh
# deploy/image/test.sh IMAGE [podman|docker]: every service of the image starts, without root and on a
# read-only root, and says what it has not been told; nothing in it builds or is a shell.
set -eu
image="$1"
# Which of the two holds it: skaffold builds by the one, `make deploy-check` by the other.
with="${2:-}"
for program in docker podman; do
    [ -n "$with" ] || ! "$program" image inspect "$image" > /dev/null 2>&1 || with="$program"
done
run="${with:?neither docker nor podman holds $image} run --rm --network none --read-only"
for module in intake dedup wave outreach broadcast reports console; do
    said="$($run "$image" "services.$module" 2>&1)" && { echo "$module started without settings"; exit 1; }
    case "$said" in
        *"is not set"*) ;;
        *) echo "$module: $said" >&2; exit 1 ;;
    esac
done
$run "$image" services.tools --help > /dev/null
for program in sh bash pip gcc apt dpkg perl; do
    if $run --entrypoint "$program" "$image" --version > /dev/null 2>&1; then
        echo "$program is in the image" >&2
        exit 1
    fi
done
user="$($run --entrypoint /opt/mawja/bin/python "$image" -c 'import os; print(os.getuid(), os.access("/opt", os.W_OK))')"
[ "$user" = "10001 False" ] || { echo "runs as $user" >&2; exit 1; }
echo "$image: 7 services and the command start as user 10001; no shell, no pip, no compiler"
