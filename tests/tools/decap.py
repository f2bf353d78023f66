#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real server's end of a tunnel, for kernels without tunnel devices: unpacks what arrives and gives it to the kernel by a tun device.

usage: decap.py ipip|gre|gue 4|6 DEVICE [PORT]

Says "ready" when it listens. What is not as the formats say is counted as an error and printed.
"""
import fcntl
import os
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI, UDP_NO_CHECK6_RX = 0x400454CA, 1, 0x1000, 102


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def plain(packet):
    return packet


def gre(packet):
    """RFC 2784: flags and version, protocol, and where bit 0 is set a checksum over header and payload."""
    flags, protocol = struct.unpack("!HH", packet[:4])
    head = 8 if flags & 0x8000 else 4
    if flags & 0x7FFF or protocol not in (0x0800, 0x86DD):
        raise ValueError(f"GRE header {packet[:4].hex()}")
    if head == 8 and checksum(packet) != 0xFFFF:
        raise ValueError("GRE checksum")
    return packet[head:]


def gue(packet):
    """Generic UDP encapsulation, variant 0: length of options in words, protocol of the payload."""
    first, protocol = packet[0], packet[1]
    if first & 0xE0 or protocol not in (4, 41):
        raise ValueError(f"GUE header {packet[:4].hex()}")
    return packet[4 + 4 * (first & 0x1F):]


def main():
    kind, family, device = sys.argv[1:4]
    six = family == "6"
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    domain = socket.AF_INET6 if six else socket.AF_INET
    if kind == "gue":
        sock = socket.socket(domain, socket.SOCK_DGRAM)
        if six:
            # Without a checksum of its own, as GUE devices of Linux take it with udp6zerocsumrx (RFC 6935).
            sock.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        sock.bind(("", int(sys.argv[4])))
        unpack, outer = gue, False
    else:
        protocol = {"ipip": 41 if six else 4, "gre": 47}[kind]
        sock = socket.socket(domain, socket.SOCK_RAW, protocol)
        unpack, outer = {"ipip": plain, "gre": gre}[kind], not six
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    print("ready", flush=True)
    while True:
        packet = sock.recv(65536)
        if outer:
            packet = packet[4 * (packet[0] & 15):]
        try:
            os.write(tun, unpack(packet))
        except (ValueError, OSError) as error:
            print("error:", error, flush=True)


main()
