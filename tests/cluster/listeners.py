"""Where an instance listens, and what answers there to somebody without the token."""

import contextlib
import socket
from dataclasses import dataclass

import grpc
import psutil

LOOPBACK = ("127.0.0.1", "::1")
RAY_METHODS = (
    "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.JobInfoGcsService/AddJob",
    "/ray.rpc.ActorInfoGcsService/RegisterActor",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.RayletDriver/Init",
    "/ray.serve.ASGIService/HandleRequest",
)


@dataclass(frozen=True)
class Listener:
    """One socket that waits for others."""

    process: str
    pid: int
    address: str
    port: int

    @property
    def is_open(self):
        """Whether it can be reached by more than what is on this machine's loopback address."""
        return self.address not in LOOPBACK


def listeners(processes):
    """Every socket of these processes on which somebody could begin to talk, TCP and UDP."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [
                Listener(process.name(), process.pid, each.laddr.ip, each.laddr.port)
                for each in process.net_connections(kind="inet")
                if each.status == psutil.CONN_LISTEN or (each.type == socket.SOCK_DGRAM and not each.raddr)
            ]
    return found


def other_addresses():
    """This machine's addresses but the one that everything of ours may be bound to.

    127.0.0.2 is always there: what answers on it is bound to all addresses.
    """
    return [
        "127.0.0.2",
        *(
            address.address
            for addresses in psutil.net_if_addrs().values()
            for address in addresses
            if address.family == socket.AF_INET and not address.address.startswith("127.")
        ),
    ]


def all_refuse(found):
    """Nothing that is reachable beyond loopback does anything for a stranger; what was tried, by port."""
    tried = {}
    for listener in found:
        for address in other_addresses():
            tried[listener.port] = tried.get(listener.port, set()) | _answers(listener, address)
    for listener in found:
        if listener.is_open:
            answers = tried[listener.port]
            if answers == {"closed"} and not psutil.pid_exists(listener.pid):
                continue  # a worker that has ended since
            assert grpc.StatusCode.UNAUTHENTICATED in answers, f"{listener} answered {answers}"
            assert answers <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}, f"{listener}: {answers}"
        else:
            assert tried[listener.port] <= {"closed"}, f"{listener} is open beyond loopback"
    return tried


def _answers(listener, address):
    with socket.socket() as probe:
        probe.settimeout(5)
        if probe.connect_ex((address, listener.port)):
            return {"closed"}
    return {code_of(address, listener.port, method) for method in RAY_METHODS} | http_answer(address, listener.port)


def code_of(address, port, method):
    """What becomes of a call without a token."""
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def http_answer(address, port):
    """What a plain HTTP request gets, if anything: gRPC's own servers hang up."""
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"GET /api/jobs/ HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            answer = connection.recv(12)
        except OSError:
            return set()
    return {answer} if answer.startswith(b"HTTP/") else set()
