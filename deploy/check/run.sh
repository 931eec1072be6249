#!/usr/bin/env bash
# deploy/check/run.sh: what `make deploy-check` does beside the tests. Every overlay goes through
# kubeconform, checkov, Kubernetes's API server and skaffold themselves; the image is built and tested; a
# surge goes through the rendered Deployments in pods. What this machine has no program for is named and
# left out, but for kubectl (or kustomize) and checkov, which `make` installs.
#
#   BUILDER       docker, podman or buildah (the first that is there)
#   BASE          the image's base (the Dockerfile's own when empty)
#   BUILD_ARGS    more for the builder, e.g. "--network host --build-arg PIP_CERT=/run/ca.crt"
#   CALLS, OVER   the surge: 5000 in 90s
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${PYTHON:-python}"
checkov="${CHECKOV:-checkov}"
image="localhost/mawja:$(sed -n 's/.*newTag: //p' deploy/k8s/base/kustomization.yaml)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
missing=()
say() { printf '\n== %s\n' "$*"; }

say "overlays rendered"
for overlay in deploy/k8s/overlays/*/; do
    name="$(basename "$overlay")"
    if command -v kubectl > /dev/null; then
        kubectl kustomize "$overlay" > "$folder/$name.yaml"
    else
        kustomize build "$overlay" > "$folder/$name.yaml"
    fi
    echo "$name: $(grep -c '^kind:' "$folder/$name.yaml") resources"
done

say "kubeconform"
if ! command -v kubeconform > /dev/null && command -v go > /dev/null; then
    GOBIN="$folder" go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 || true
    PATH="$PATH:$folder"
fi
if command -v kubeconform > /dev/null; then
    "$python" -m tests.schemas.files "$folder/schemas"
    kubeconform -strict -summary -schema-location "$folder/schemas/{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json" \
        -schema-location "$folder/schemas/kubernetes/{{.ResourceKind}}{{.KindSuffix}}.json" "$folder"/*.yaml
else
    missing+=(kubeconform)
fi

say "checkov"
# Its search for a newer release asks an index of packages, and no setting of its file stops that.
CKV_SKIP_PACKAGE_UPDATE_CHECK=true "$checkov" --config-file deploy/check/checkov.yaml -d "$folder"

say "an API server takes it"
# Built once (docs/kubernetes.md says how long that takes) and kept in Mawja's cache.
if command -v go > /dev/null && command -v kubectl > /dev/null; then
    "$python" -m tests.apiserver
else
    missing+=(go-and-kubectl)
fi

say "skaffold"
if command -v skaffold > /dev/null; then
    for profile in local surge production; do
        skaffold diagnose --yaml-only -p "$profile" > "$folder/skaffold.out"
        SKAFFOLD_UPDATE_CHECK=false skaffold render -p "$profile" --offline=true --digest-source=tag \
            --output "$folder/skaffold-$profile.out"
        grep -q 'kind: Deployment' "$folder/skaffold-$profile.out"
        echo "$profile: rendered"
    done
else
    missing+=(skaffold)
fi

say "image"
# A docker without its daemon is none.
builder="${BUILDER:-$(command -v buildah || command -v podman || (docker info > /dev/null 2>&1 && command -v docker) || true)}"
if [ -n "$builder" ]; then
    began=$SECONDS
    # shellcheck disable=SC2086  # arguments, on purpose
    "$builder" build ${BASE:+--build-arg "BASE=$BASE"} ${BUILD_ARGS:-} -q -t "$image" . > "$folder/image.out" || {
        echo "the image was not built. Where its base can't be pulled: make deploy-check BASE=an-image-with-python-3.11" \
             "(docs/kubernetes.md)" >&2
        exit 1
    }
    echo "built in $((SECONDS - began)) s"
    runner=podman
    [ "$(basename "$builder")" != docker ] || runner=docker
    deploy/image/test.sh "$image" "$runner"
    "$runner" image inspect --format '{{.Size}} bytes' "$image"
else
    missing+=(docker-or-buildah)
fi

say "a surge through the rendered Deployments"
if command -v podman > /dev/null; then
    "$python" -m tests.pods --image "$image" --calls "${CALLS:-5000}" --over "${OVER:-90s}" --home "$folder/home"
else
    missing+=(podman)
fi

say "done; left out, because this machine has no: ${missing[*]:-(nothing)}"
