"""`python -m services.tools.waiting`: stays until it is ended, so that a cluster has a place where
the `mawja` command can be typed (deploy/k8s/components/operator)."""

import signal
import sys


def main() -> int:
    """Waits for SIGTERM or Ctrl-C."""
    print("`python -m services.tools --help` tells what can be done here", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sys.exit(main())
