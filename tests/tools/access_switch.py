# SPDX-License-Identifier: Apache-2.0
"""usage: access_switch.py ACCESS TRUNK VID: a switch with an untagged and a tagged port.

The kernel takes the tag off a received frame and tells it beside the frame (PACKET_AUXDATA); frames that the
other side of this program sends are seen as outgoing and left alone.
"""
import select
import socket
import struct
import sys

PACKET_AUXDATA, SOL_PACKET, OUTGOING, TAGGED = 8, 263, 4, 0x10
access_name, trunk_name, vid = sys.argv[1], sys.argv[2], int(sys.argv[3])


def port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.bind((name, 0))
    return s


def receive(s):
    """The frame without its tag and the tag, or None for one that is leaving."""
    frame, beside, _, address = s.recvmsg(65536, 64)
    if address[2] == OUTGOING:
        return None
    for level, kind, data in beside:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", data[:20])
            if status & TAGGED:
                return frame, tci & 0xFFF
    return frame, None


access, trunk = port(access_name), port(trunk_name)
print("switching", flush=True)
while True:
    for ready in select.select([access, trunk], [], [])[0]:
        received = receive(ready)
        if received is None:
            continue
        frame, tag = received
        if ready is access and tag is None:
            trunk.send(frame[:12] + struct.pack("!HH", 0x8100, vid) + frame[12:])
        if ready is trunk and tag == vid:
            access.send(frame)
