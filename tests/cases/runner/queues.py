# SPDX-License-Identifier: MIT
"""How many bytes a client has sent that the daemon has not read yet, as the kernel knows it: asked
of sock_diag(7) for the one connection, or of /proc/net/tcp where that is not to be had (it lists
every socket of the machine, which takes long where there are many)."""

import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NO_COOKIE = 0xFFFFFFFF
LOOPBACK = socket.inet_aton("127.0.0.1")
HEADER = struct.Struct("=IHHII")
SOCKET_ID = struct.Struct("!HH16s16s")


def unread_bytes(client_port, server_port):
    try:
        out = ask_kernel(client_port, server_port)[1]
        waiting = ask_kernel(server_port, client_port)[0]
    except OSError:
        return read_table(client_port, server_port)
    return out + waiting


def ask_kernel(port, peer_port):
    """(bytes received and not read, bytes sent and not acknowledged) of one socket on loopback."""
    address = LOOPBACK.ljust(16, b"\0")
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, NO_COOKIE)
    request += SOCKET_ID.pack(port, peer_port, address, address)
    request += struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    message = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(5)
        kernel.send(message + request)
        answer = kernel.recv(8192)
    kind = HEADER.unpack_from(answer)[1]
    if kind != SOCK_DIAG_BY_FAMILY:
        raise OSError("the kernel does not know this socket")
    return struct.unpack_from("=II", answer, HEADER.size + 4 + 48 + 4)


def read_table(client_port, server_port):
    waiting = 0
    with open("/proc/net/tcp", encoding="ascii") as rows:
        next(rows)
        for row in rows:
            fields = row.split()
            ports = tuple(int(fields[n].rsplit(":", 1)[1], 16) for n in (1, 2))
            sent, received = (int(part, 16) for part in fields[4].split(":"))
            if ports == (client_port, server_port):
                waiting += sent
            elif ports == (server_port, client_port):
                waiting += received
    return waiting
