"""What Kubernetes does not know by itself: the schemas of KEDA's, Strimzi's and Prometheus's
resources, kept in `crds.json` and made by `make.py`."""
