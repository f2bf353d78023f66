# SPDX-License-Identifier: Apache-2.0
"""usage: pings.py TARGET ID ROUNDS SIZES ADDRESS...: pings TARGET from every address, all with the same identifier.

SIZES are bytes of payload, with commas between. Prints a line per address: how many of its questions were answered, byte for byte
and to the one who asked.
"""
import select
import socket
import struct
import sys
import time

target, ident, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sizes = [int(size) for size in sys.argv[4].split(",")]
six = ":" in target
family, proto = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
REQUEST, REPLY = (128, 129) if six else (8, 0)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


clients = {}
for n, address in enumerate(sys.argv[5:]):
    sock = socket.socket(family, socket.SOCK_RAW, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, 0))
    sock.setblocking(False)
    clients[sock] = (n, address, {})


def question(n, seq, size):
    payload = bytes((n * 7 + seq * 13 + at) & 0xff for at in range(size))
    return struct.pack("!HH", ident, seq) + payload


def take(limit):
    end = time.monotonic() + limit
    while any(len(answered) < sent for _, _, answered in clients.values()):
        left = end - time.monotonic()
        ready, _, _ = select.select(list(clients), [], [], max(0, left))
        if not ready:
            return
        for sock in ready:
            n, _, answered = clients[sock]
            data, _ = sock.recvfrom(70000)
            message = data if six else data[(data[0] & 15) * 4:]
            if message[0] != REPLY:
                continue
            seq = struct.unpack("!H", message[6:8])[0]
            expected = question(n, seq, sizes[seq % len(sizes)])
            if message[1] == 0 and message[4:] == expected and (six or checksum(message) == 0):
                answered[seq] = True


sent = 0
for seq in range(rounds * len(sizes)):
    for sock, (n, _, _) in clients.items():
        rest = question(n, seq, sizes[seq % len(sizes)])
        head = struct.pack("!BBH", REQUEST, 0, 0)
        if not six:
            head = struct.pack("!BBH", REQUEST, 0, checksum(head + rest))
        sock.sendto(head + rest, (target, 0))
    sent = seq + 1
    # All of a round are on their way together, rounds are not.
    take(2)
for n, address, answered in sorted(client for client in clients.values()):
    print(address, len(answered))
