"""What members written in Python tell, and how they hear that they are to leave (see ../README.md)."""

import os
import sys
import threading


def say(*words):
    print(*words, flush=True)


def owns(partitions):
    say("owns", ",".join(str(partition) for partition in sorted(partitions)))


def closing():
    """Set once a line comes; when stdin ends the test is gone, and so is this."""
    event = threading.Event()

    def listen():
        if sys.stdin.readline():
            event.set()
        else:
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    return event
