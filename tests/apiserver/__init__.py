"""deploy/ before Kubernetes's own API server: a step of `make deploy-check`."""
