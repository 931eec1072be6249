"""Ties a process to the one that starts it, then becomes the wanted command (same pid).

Run as a script between the parent and the command, so that nothing has to happen between fork and
exec of a parent with threads (gRPC, Kafka clients), where a lock held elsewhere would hang it.
On Linux the kernel kills the command when the parent's spawning thread ends, however it ends.
Elsewhere a small watcher waits for the end of a pipe that only the parent holds open.

    python -I -S tether.py PARENT_PID PIPE_FD COMMAND ARGUMENT…     (PIPE_FD "-": ask the kernel)
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _ask_kernel() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"tether: prctl failed: {os.strerror(ctypes.get_errno())}")


def _leave_watcher(pipe: int) -> None:
    command = os.getpid()
    if os.fork() != 0:
        os.close(pipe)
        return
    # The watcher must not hold the command's output open, nor be stopped with its group.
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.read(pipe, 1)
    # The command may have ended already and its number may be another's: then it is not our parent.
    if os.getppid() == command:
        os.kill(command, signal.SIGKILL)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Ties this process to `arguments[0]`, the parent's pid, and executes `arguments[2:]`."""
    parent, pipe, *command = arguments
    if pipe == "-":
        _ask_kernel()
    else:
        _leave_watcher(int(pipe))
    # The parent may have died before it was watched: nobody would tell us any more.
    if os.getppid() != int(parent):
        os._exit(1)
    # Python ignores these; a server that inherits that would not notice a closed pipe.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the command is its purpose
    except OSError as error:
        sys.exit(f"tether: can't run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
