# SPDX-License-Identifier: Apache-2.0
# usage: mutated.py SEED COUNT CLIENT VIP CLIENT6 VIP6 DIRECTOR_MAC
# Sends COUNT frames: sound ones of every protocol with a few random bytes changed, cut at random, or followed by rubbish.
import random

random.seed(int(sys.argv[1]))
C, V, C6, V6, MAC = sys.argv[3:8]
D = Ether(dst=MAC)
SOUND = [
    bytes(frame)
    for frame in (
        D / IP(src=C, dst=V) / TCP(sport=5000, dport=80, flags="S", options=[("MSS", 1460), ("WScale", 7)]),
        D / IP(src=C, dst=V, options=IPOption_RR(routers=["0.0.0.0"] * 3)) / UDP(sport=5000, dport=7) / b"data",
        D / IP(src=C, dst=V, flags="MF", frag=2) / UDP(sport=5000, dport=7) / b"data",
        D / IP(src=C, dst=V) / ICMP() / b"data",
        D / IP(src=C, dst=V) / ICMP(type=3, code=4) / IP(src=V, dst=C) / TCP(sport=80, dport=5000),
        D / IP(src=C, dst=V, proto=132) / (b"\x13\x88\x00\x50" + b"\0" * 20),
        D / ARP(op=1, psrc=C, pdst=V),
        D / ARP(op=2, psrc=C, pdst=V),
        D / Dot1Q(vlan=5) / IP(src=C, dst=V) / UDP(dport=7),
        D / IPv6(src=C6, dst=V6) / TCP(sport=5000, dport=80, flags="S"),
        D / IPv6(src=C6, dst=V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=5000, dport=7) / b"data",
        D / IPv6(src=C6, dst=V6) / IPv6ExtHdrFragment(offset=1, m=1) / b"data",
        D / IPv6(src=C6, dst=V6) / IPv6ExtHdrRouting(addresses=[V6]) / UDP(sport=5000, dport=7),
        D / IPv6(src=C6, dst=V6) / ICMPv6EchoRequest(data=b"data"),
        D / IPv6(src=C6, dst=V6, hlim=255) / ICMPv6ND_NS(tgt=V6) / ICMPv6NDOptSrcLLAddr(),
        D / IPv6(src=C6, dst=V6, hlim=255) / ICMPv6ND_NA(tgt=C6) / ICMPv6NDOptDstLLAddr(),
        D / IPv6(src=C6, dst=V6) / ICMPv6PacketTooBig(mtu=1280) / IPv6(src=V6, dst=C6) / TCP(sport=80),
    )
]
wire = conf.L2socket(iface="eth0")
for _ in range(int(sys.argv[2])):
    frame = bytearray(random.choice(SOUND))
    for _ in range(random.randrange(4)):
        # The Ethernet addresses stay: a frame for somebody else is a dull one.
        frame[random.randrange(12, len(frame))] = random.randrange(256)
    if random.random() < 0.3:
        del frame[random.randrange(14, len(frame) + 1) :]
    if random.random() < 0.1:
        frame += random.randbytes(random.randrange(1, 1200))
    wire.send(bytes(frame))
