"""What connection tracking is understood to say."""

from __future__ import annotations

from podlab.host import connections

TRACKED = """\
tcp      6 117 TIME_WAIT src=10.1.2.2 dst=10.96.54.115 sport=58124 dport=80 src=10.1.1.3 dst=10.1.2.2 sport=8080 dport=58124 [ASSURED] mark=0 use=1
tcp      6 8 CLOSE src=10.100.0.2 dst=10.96.54.115 sport=40000 dport=80 src=10.1.1.3 dst=10.1.1.1 sport=8080 dport=31007 mark=0 use=1
tcp      6 117 SYN_SENT src=10.1.2.2 dst=10.100.0.3 sport=5 dport=30080 [UNREPLIED] src=10.100.0.3 dst=10.1.2.2 sport=30080 dport=5 mark=0 use=1
udp      17 29 src=10.1.1.2 dst=10.96.0.10 sport=41000 dport=53 [UNREPLIED] src=10.1.2.9 dst=10.1.1.2 sport=5353 dport=41000 mark=0 use=1
icmp     1 29 src=10.1.1.2 dst=10.1.2.2 type=8 code=0 id=1 src=10.1.2.2 dst=10.1.1.2 type=0 code=0 id=1 mark=0 use=1
"""

EVENTS = """\
NOTICE: Netlink socket buffer size has been set to 8388608 bytes.
    [NEW] tcp      6 120 SYN_SENT src=127.0.0.1 dst=127.0.0.1 sport=59624 dport=30080 [UNREPLIED] src=10.1.1.3 dst=10.1.1.1 sport=80 dport=31771
    [NEW] udp      17 30 src=10.1.1.2 dst=10.96.0.10 sport=41000 dport=53 [UNREPLIED] src=10.1.2.9 dst=10.1.1.2 sport=5353 dport=41000
    [NEW] icmp     1 30 src=10.1.1.2 dst=10.1.2.2 type=8 code=0 id=1 [UNREPLIED] src=10.1.2.2 dst=10.1.1.2 type=0 code=0 id=1
"""


def test_a_connection_tells_where_it_went_and_whom_the_endpoint_saw():
    assert list(connections.flows_of(TRACKED)) == [
        ("tcp", "10.1.2.2", 58124, "10.96.54.115", 80, "10.1.2.2", 58124, "10.1.1.3", 8080),
        ("tcp", "10.100.0.2", 40000, "10.96.54.115", 80, "10.1.1.1", 31007, "10.1.1.3", 8080),
        ("tcp", "10.1.2.2", 5, "10.100.0.3", 30080, "10.1.2.2", 5, "10.100.0.3", 30080),
        ("udp", "10.1.1.2", 41000, "10.96.0.10", 53, "10.1.1.2", 41000, "10.1.2.9", 5353),
    ]


def test_events_tell_the_same_and_only_what_is_watched_counts():
    assert connections.among([["127.0.0.1", 30080]], EVENTS) == [
        ("tcp", "127.0.0.1", 59624, "127.0.0.1", 30080, "10.1.1.1", 31771, "10.1.1.3", 80)
    ]
    assert len(list(connections.flows_of(EVENTS))) == 2


def test_where_nothing_is_watched_nobody_is_asked():
    assert connections.tracked([]) == []
    assert connections.collect(0, []) == []
