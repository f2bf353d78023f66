# SPDX-License-Identifier: Apache-2.0
# usage: malformed.py CLIENT VIP SERVER CLIENT6 VIP6 SERVER6 DIRECTOR_MAC
# Sends frames that break one rule each and prints, for each, the reason a director has to drop it for.
# An Ethernet address, a local address and services at TCP 80 and UDP 7 of both VIPs are there.
C, V, S, C6, V6, S6, MAC = sys.argv[1:8]
D = Ether(dst=MAC)
I, J = IP(src=C, dst=V), IPv6(src=C6, dst=V6)
SYN = TCP(sport=4000, dport=80, flags="S")
DGRAM = UDP(sport=4000, dport=7)
DATA = Raw(b"x" * 20)


def cut(frame, keep):
    return Raw(bytes(frame)[:keep])


def patched(frame, at, value):
    b = bytearray(bytes(frame))
    b[at : at + len(value)] = value
    return Raw(bytes(b))


CASES = [
    # Ethernet
    ("other_host", Ether(dst="02:00:00:00:00:99") / I / SYN),
    ("unknown_vlan", D / Dot1Q(vlan=99) / I / SYN),
    ("ether_type", Ether(dst=MAC, type=0x88B5) / DATA),
    # ARP
    ("arp", cut(D / ARP(op=1, psrc=C, pdst=V), 14 + 27)),
    ("arp", D / ARP(op=1, hwlen=5, psrc=C, pdst=V)),
    ("arp", D / ARP(op=1, psrc=V, pdst=V)),
    # IPv4 (RFC 1812 5.2.2)
    ("truncated", cut(D / I / SYN, 14 + 19)),
    ("truncated", D / IP(src=C, dst=V, len=200) / DGRAM / DATA),
    ("ip_header", D / IP(src=C, dst=V, version=5) / SYN),
    ("ip_header", D / IP(src=C, dst=V, ihl=4) / SYN),
    ("ip_header", D / IP(src=C, dst=V, len=19) / SYN),
    ("ip_checksum", D / IP(src=C, dst=V, chksum=0xBAD) / SYN),
    ("martian", D / IP(src="127.0.0.1", dst=V) / SYN),
    ("martian", D / IP(src="224.0.0.1", dst=V) / SYN),
    ("martian", D / IP(src="255.255.255.255", dst=V) / SYN),
    ("martian", D / IP(src=C, dst="127.0.0.1") / SYN),
    # Of different packets, so that nobody can put them together (RFC 1858, RFC 3128).
    ("fragment", D / IP(src=C, dst=V, id=7, flags="MF") / SYN / Raw(b"x" * 4)),
    ("fragment_tiny", D / IP(src=C, dst=V, id=8, flags="MF", proto=6) / Raw(b"x" * 8)),
    ("fragment_tiny", D / IP(src=C, dst=V, id=9, frag=1, proto=6) / DATA),
    ("not_forwarding", D / IP(src=C, dst=S) / SYN),
    # IPv6 (RFC 8200)
    ("truncated", cut(D / J / SYN, 14 + 39)),
    ("truncated", D / IPv6(src=C6, dst=V6, plen=2000) / SYN),
    ("ip_header", D / IPv6(src=C6, dst=V6, version=5) / SYN),
    ("martian", D / IPv6(src="::1", dst=V6) / SYN),
    ("martian", D / IPv6(src="ff02::1", dst=V6) / SYN),
    ("extension_header", D / IPv6(src=C6, dst=V6, nh=0) / Raw(b"\x06\xff" + b"\0" * 6)),
    ("extension_header", D / IPv6(src=C6, dst=V6, nh=60) / Raw(b"\x3c")),
    ("not_forwarding", D / IPv6(src=C6, dst=S6) / SYN),
    # TCP
    ("l4_header", D / I / TCP(sport=4000, dport=80, flags="S", dataofs=4)),
    ("l4_header", D / IP(src=C, dst=V, proto=6) / Raw(b"short")),
    ("l4_header", D / IPv6(src=C6, dst=V6, nh=6) / Raw(b"short")),
    ("l4_header", D / I / TCP(sport=4000, dport=80, flags="S", dataofs=15)),
    ("l4_checksum", D / I / TCP(sport=4000, dport=80, flags="S", chksum=1)),
    ("l4_checksum", D / J / TCP(sport=4000, dport=80, flags="S", chksum=1)),
    ("not_syn", D / I / TCP(sport=4001, dport=80, flags="A")),
    ("not_syn", D / I / TCP(sport=4001, dport=80, flags="SA")),
    ("bad_flags", D / I / TCP(sport=4001, dport=80, flags="SF")),
    ("not_syn", D / I / TCP(sport=4001, dport=80, flags="R")),
    ("not_syn", D / I / TCP(sport=4001, dport=80, flags="")),
    ("not_syn", D / J / TCP(sport=4001, dport=80, flags="FA")),
    # UDP
    ("l4_header", D / I / UDP(sport=4000, dport=7, len=7)),
    ("l4_header", D / I / UDP(sport=4000, dport=7, len=2000) / DATA),
    ("l4_header", D / J / UDP(sport=4000, dport=7, len=7)),
    ("l4_checksum", D / I / UDP(sport=4000, dport=7, chksum=1) / DATA),
    ("l4_checksum", D / J / UDP(sport=4000, dport=7, chksum=1) / DATA),
    # RFC 8200 8.1: over IPv6 there is no datagram without a checksum
    ("l4_checksum", patched(D / J / DGRAM / DATA, 14 + 40 + 6, b"\0\0")),
    ("no_service", D / I / UDP(sport=4000, dport=9999) / DATA),
    # ICMP
    ("l4_checksum", D / I / ICMP(type=8, chksum=1) / DATA),
    ("l4_checksum", D / J / ICMPv6EchoRequest(cksum=1, data=b"x")),
    ("l4_header", D / IP(src=C, dst=V, proto=1) / Raw(b"x")),
    ("icmp", D / I / ICMP(type=13)),
    ("icmp_unrelated", D / I / ICMP(type=3, code=3) / IP(src=V, dst=C) / UDP(sport=1, dport=2)),
    ("icmp_unrelated", D / J / ICMPv6DestUnreach(code=4) / IPv6(src=V6, dst=C6) / UDP(sport=1, dport=2)),
    # Neighbour discovery (RFC 4861 7.1)
    ("neighbour_discovery", D / IPv6(src=C6, dst=V6, hlim=64) / ICMPv6ND_NS(tgt=V6) / ICMPv6NDOptSrcLLAddr()),
    ("neighbour_discovery", D / IPv6(src=C6, dst=V6, hlim=255) / ICMPv6ND_NS(tgt=V6) / Raw(b"\x01\x00" + b"\0" * 6)),
    ("neighbour_discovery", D / IPv6(src=C6, dst=V6, hlim=255) / ICMPv6ND_NA(tgt=V6) / ICMPv6NDOptDstLLAddr()),
]

wire = conf.L2socket(iface="eth0")
for reason, frame in CASES:
    wire.send(frame)
    print(reason, bytes(frame)[:100].hex())
