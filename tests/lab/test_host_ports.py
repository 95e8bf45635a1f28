"""A client that keeps its UDP port finds whoever has a host port now, whatever was there when it called before."""

from __future__ import annotations

from tests.lab.conftest import agnhost

# From one port, as a client's socket has it all the time; an answer, or why there is none.
ASK = """
import socket, sys
asked = socket.socket(type=socket.SOCK_DGRAM)
asked.bind(("", 5555))
asked.connect((sys.argv[1], int(sys.argv[2])))
for patience in (0.2, 0.5, 1, 2):
    asked.settimeout(patience)
    try:
        asked.send(b"hostname")
        print(asked.recv(100).decode())
        break
    except ConnectionRefusedError:
        print("refused")
        break
    except TimeoutError:
        pass
else:
    print("silence")
"""
NODE1, NODE2, PORT = "10.100.0.2", "10.100.0.3", "7777"
CLIENTS = {
    "from outside": ("outside", [], NODE1),
    "from another node": ("node2", [], NODE1),
    "from the node": ("node1", [], NODE1),
    "from the node to itself": ("node1", [], "127.0.0.1"),
    "from a pod there": ("node1", ["ip", "netns", "exec", "default_client"], NODE1),
}


def answers(lab, address=None):
    return {
        who: lab.on(host, *within, "python3", "-c", ASK, address or there, PORT)
        for who, (host, within, there) in CLIENTS.items()
        if not address or there != "127.0.0.1"
    }


def server(name, node, port=int(PORT), **more):
    body = agnhost(name, "netexec", "--udp-port=8081", "--http-port=8080", nodeName=node)
    ports = [{"containerPort": 8081, "hostPort": port, "protocol": "UDP", **more}] if port else []
    body["spec"]["containers"][0]["ports"] = ports
    return body


def converge(lab, *pods):
    client = agnhost("client", "pause", nodeName="node1")
    lab.write(**{body["metadata"]["name"]: body for body in (client, *pods)})
    return lab.lines(lab.converge("--skip-tags", "verify,services"))


def write_past(lab, port):
    """An entry of the client outside, as if it had called the node itself."""
    asked = ["--orig-src", "198.51.100.10", "--orig-dst", NODE1, "--orig-port-src", "5555", "--orig-port-dst", port]
    answer = [
        "--reply-src",
        NODE1,
        "--reply-dst",
        "198.51.100.10",
        "--reply-port-src",
        port,
        "--reply-port-dst",
        "5555",
    ]
    lab.on("node1", "conntrack", "-D", "-p", "udp", "--orig-port-dst", port, check=False)
    lab.on("node1", "conntrack", "-I", "-p", "udp", "-t", "300", *asked, *answer)


def test_calls_go_where_the_host_port_leads_now(lab):
    converge(lab)
    everybody = [*CLIENTS]
    assert answers(lab) == dict.fromkeys(everybody, "refused")
    assert answers(lab, NODE2)["from outside"] == "refused"

    typed = converge(lab, server("a", "node1"))
    assert answers(lab) == dict.fromkeys(everybody, "a"), "it has come"
    assert any(line.startswith(f"conntrack -D -p udp --orig-dst {NODE1} --orig-port-dst {PORT}") for line in typed)

    write_past(lab, PORT)
    write_past(lab, "7779")
    typed = converge(lab, server("a", "node1"))
    assert [line.split(" ")[:2] for line in typed] == [["conntrack", "-D"]], "the rules are right, and a call goes past"
    assert "dport=7779" in lab.on("node1", "conntrack", "-L", "-p", "udp"), "which is nobody's host port"
    assert answers(lab)["from outside"] == "a"

    converge(lab, server("b", "node1", hostIP="127.0.0.1"))
    told = answers(lab)
    assert told.pop("from the node to itself") == "b", "another pod has it, at one address only"
    assert set(told.values()) == {"refused"}

    converge(lab, server("b", "node2"))
    assert answers(lab) == dict.fromkeys(everybody, "refused"), "it has left the node"
    assert set(answers(lab, NODE2).values()) == {"b"}
