"""The rendered Deployments in pods of this machine, by `podman kube play`, with the local parts
beside them: `python -m tests.pods` performs a surge through them and keeps score."""
