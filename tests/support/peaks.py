"""The most memory that a process of its own has held, as the kernel tells it."""

from __future__ import annotations

PEAK = '''
def peak() -> int:
    """The most memory that this process has held since its program began, in KiB."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except FileNotFoundError:  # no Linux
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
'''
"""Source to put in front of a child's program.

What ``wait4`` and ``getrusage`` tell does not do: Linux counts in what the process held that forked the child, so that
the child of a large test process looks as large.
"""
