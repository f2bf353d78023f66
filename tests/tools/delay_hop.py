# SPDX-License-Identifier: Apache-2.0
"""usage: delay_hop.py A B MS BYTES: a wire between two interfaces on which every frame takes MS milliseconds, and that takes
BYTES per second in each direction. What comes faster waits its turn.

It stands where a kernel's netem would do the same: many kernels, such as those of small virtual machines, have none.
"""
import collections
import select
import socket
import sys
import time

OUTGOING = 4
a_name, b_name, delay, bytes_per_second = sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000, float(sys.argv[4])


def port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
    s.bind((name, 0))
    s.setblocking(False)
    return s


a, b = port(a_name), port(b_name)
other = {a: b, b: a}
# By the port a frame leaves by: the frames that are under way, each with the time it is due, and when the wire is free again.
under_way = {a: collections.deque(), b: collections.deque()}
free = {a: 0.0, b: 0.0}
print("delaying", flush=True)
while True:
    due = [frames[0][0] for frames in under_way.values() if frames]
    wait = max(0.0, min(due) - time.monotonic()) if due else None
    for ready in select.select([a, b], [], [], wait)[0]:
        to = other[ready]
        # No more at once than leaves the frames that are due in time.
        for _ in range(64):
            try:
                frame, address = ready.recvfrom(65536)
            except BlockingIOError:
                break
            if address[2] != OUTGOING:
                free[to] = max(time.monotonic(), free[to]) + len(frame) / bytes_per_second
                under_way[to].append((free[to] + delay, frame))
    now = time.monotonic()
    for to, frames in under_way.items():
        while frames and frames[0][0] <= now:
            try:
                to.send(frames.popleft()[1])
            except OSError:
                # The interface is down, or its queue is full: lost, as on any wire.
                pass
