"""The firewall lines of `docs/operations.md`, loaded into a network of their own: what they close, what stays open."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("nft") and shutil.which("ip")),
        reason="makes networks and loads rules into them: run as root, with nftables and iproute2 installed",
    ),
]
NOBODY = 65534
OUTSIDE, US = "198.51.100.2", "198.51.100.1"

WORLD = """
set -e
mount -t tmpfs none /run; mkdir /run/netns
ip netns add outside
ip link set lo up
ip link add here type veth peer name there
ip link set there netns outside
for one in 198.51.100 10.9.0 169.254.169; do
  ip addr add $one.1/24 dev here; ip netns exec outside ip addr add $one.2/24 dev there
done
ip link set here up; ip netns exec outside ip link set there up; ip netns exec outside ip link set lo up
exec {python} {me} {rules}
"""


def rules():
    """What the page tells operators to load, for a user that every machine has."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    tables = re.findall(r"(?m)^ {4}table inet .*\n(?:^ {4}.*\n)+", page)
    assert len(tables) == 2
    return re.sub(r"skuid (!= )?taske", rf"skuid \g<1>{NOBODY}", "".join(tables))


def seen(tmp_path, text):
    """Which of the places can be reached while these rules are loaded."""
    loaded, script = tmp_path / "rules", tmp_path / "world.sh"
    loaded.write_text(text)
    script.write_text(WORLD.format(python=sys.executable, me=Path(__file__), rules=loaded))
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_the_rules_close_what_they_say_and_nothing_else(tmp_path):
    """Without them all is open; with them private networks, metadata and this machine's servers are closed to the user.

    The public network, the service's own ports and its front door stay open.
    """
    everything = {"public", "private", "metadata", "local-server", "own-port", "front-door", "ray-port"}
    assert seen(tmp_path, "") == everything
    assert seen(tmp_path, rules()) == {"public", "own-port", "front-door"}


def _open(name, address, port, *, as_user):
    """Say the name if a connection can be made."""
    code = (
        f"import encodings.idna, os, socket; os.setuid({NOBODY if as_user else 0}); "  # what nobody could not read
        f"socket.create_connection(({address!r}, {port}), 1); os.write(1, {name.encode()!r} + bytes([10]))"
    )
    outside = [] if as_user else ["ip", "netns", "exec", "outside"]
    return subprocess.Popen([*outside, sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def _look(loaded):
    """Inside the network: listen at every place, load the rules, and try."""
    import socket

    held = [socket.create_server(("", port)) for port in (8000, 8123, 25123)]
    listen = (
        "import socket; s = socket.create_server(('', 80)); print('up', flush=True); s.accept(); s.accept(); s.accept()"
    )
    other = subprocess.Popen(
        ["ip", "netns", "exec", "outside", sys.executable, "-c", listen], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "up\n"
    subprocess.run(["nft", "-f", loaded], check=True)
    tries = [
        _open("public", OUTSIDE, 80, as_user=True),
        _open("private", "10.9.0.2", 80, as_user=True),
        _open("metadata", "169.254.169.2", 80, as_user=True),
        _open("local-server", "127.0.0.1", 8123, as_user=True),
        _open("own-port", "127.0.0.1", 25123, as_user=True),
        _open("front-door", US, 8000, as_user=False),
        _open("ray-port", US, 25123, as_user=False),
    ]
    for each in tries:
        each.wait()
    other.kill()
    other.wait()
    for each in held:
        each.close()


if __name__ == "__main__":
    _look(sys.argv[1])
