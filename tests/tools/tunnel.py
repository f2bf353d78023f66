#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The other end of a tunnel link, for kernels without tunnel devices: carries packets between a tun device and the director, both ways.

usage: tunnel.py ipip|gre REMOTE DEVICE [KEY [seq]]

With a key, GRE packets have it and a checksum both ways, and with "seq" a number too (RFC 2784, RFC 2890). Says "ready" when it listens. What is not as the
formats say is printed as an error.
"""
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CHECKSUM, KEY, SEQUENCE = 0x8000, 0x2000, 0x1000


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Gre:
    def __init__(self, key, numbered):
        self.key, self.numbered, self.sent, self.heard = key, numbered, 0, -1
        self.flags = 0 if key is None else CHECKSUM | KEY | (SEQUENCE if numbered else 0)

    def wrap(self, packet):
        if self.key is None:
            return struct.pack("!HH", 0, 0x0800) + packet
        number = struct.pack("!I", self.sent) if self.numbered else b""
        rest = struct.pack("!I", self.key) + number + packet
        self.sent += 1
        head = struct.pack("!HH", self.flags, 0x0800)
        total = checksum(head + b"\0\0\0\0" + rest)
        return head + struct.pack("!HH", 0xFFFF - total, 0) + rest

    def unwrap(self, packet):
        flags, protocol = struct.unpack("!HH", packet[:4])
        if flags != self.flags or protocol != 0x0800:
            raise ValueError(f"GRE header {packet[:4].hex()}")
        if self.key is None:
            return packet[4:]
        key, number = struct.unpack("!II", packet[8:16])
        if checksum(packet) != 0xFFFF or key != self.key:
            raise ValueError(f"GRE checksum or key {key}")
        if not self.numbered:
            return packet[12:]
        if number <= self.heard:
            raise ValueError(f"number {number} after {self.heard}")
        self.heard = number
        return packet[16:]


class Ipip:
    def wrap(self, packet):
        return packet

    unwrap = wrap


def main():
    kind, remote, device = sys.argv[1:4]
    key = int(sys.argv[4]) if len(sys.argv) > 4 else None
    form = Gre(key, sys.argv[5:] == ["seq"]) if kind == "gre" else Ipip()
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47 if kind == "gre" else 4)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    print("ready", flush=True)
    while True:
        for ready in select.select([tun, sock], [], [])[0]:
            try:
                if ready is sock:
                    packet = sock.recv(65536)
                    os.write(tun, form.unwrap(packet[4 * (packet[0] & 15):]))
                else:
                    packet = os.read(tun, 65536)
                    if packet[0] >> 4 == 4:
                        sock.sendto(form.wrap(packet), (remote, 0))
            except (ValueError, OSError) as error:
                print("error:", error, flush=True)


main()
