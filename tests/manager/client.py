#!/usr/bin/env python3
"""A client of the manager, written from PROTOCOL.md with what Python brings.

    client.py ADDRESS KEYFILE

talks to the server there and says "ok" if all went as the protocol says.
Address: unix:/path, tcp://host:port or tls://host:port.
"""

import hashlib
import hmac
import os
import socket
import ssl
import struct
import sys

MAGIC = b"libipc1\n"
VERSION = 1
FOR_MANAGER = 1

EACCES = 13
EINVAL = 22
ENOENT = 2
ERANGE = 34
ENOSYS = 38
EILSEQ = 84
ESTALE = 116
RESUMED = 1

# Sections 5 to 7: what is used here.
LIST = {"append": 1, "insert": 2, "get": 3, "set": 4, "pop": 5, "length": 10,
        "extend": 11, "slice": 12, "sort": 14, "clear": 16, "append_new": 19}
DICT = {"set": 64, "get": 65, "contains": 69, "length": 70, "incr": 71,
        "items": 78}
PING, OPEN, REFER, DROP, REMOVE, NAMES, BATCH, CANCEL, GOODBYE = range(256, 265)
COUNT = 266
LOCK_ACQUIRE, LOCK_RELEASE = 384, 385


class Refused(Exception):
    """The server, or we, did not like the handshake."""


class Failed(Exception):
    """A reply with a negative status."""

    def __init__(self, status, detail):
        super().__init__(f"{-status}: {detail}")
        self.errno = -status
        self.detail = detail


class Container:
    """A list, dict, set or namespace by its number."""

    def __init__(self, kind, number):
        self.kind = kind
        self.number = number

    def __eq__(self, other):
        return (isinstance(other, Container) and self.kind == other.kind
                and self.number == other.number)


# ---- MessagePack: section 3 ----

def pack_int(value):
    if 0 <= value < 128 or -32 <= value < 0:
        return struct.pack("b" if value < 0 else "B", value)
    for first, form in ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")):
        if 0 <= value < 1 << 8 * struct.calcsize(form):
            return bytes([first]) + struct.pack(form, value)
    for first, form in ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")):
        if -value <= 1 << 8 * struct.calcsize(form) - 1:
            return bytes([first]) + struct.pack(form, value)
    raise ValueError(value)


def pack_sized(data, firsts):
    for first, form in zip(firsts, (">B", ">H", ">I")):
        if len(data) < 1 << 8 * struct.calcsize(form):
            return bytes([first]) + struct.pack(form, len(data)) + data
    raise ValueError("too long")


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        if len(data) < 32:
            return bytes([0xA0 | len(data)]) + data
        return pack_sized(data, (0xD9, 0xDA, 0xDB))
    if isinstance(value, bytes):
        return pack_sized(value, (0xC4, 0xC5, 0xC6))
    if isinstance(value, Container):
        return b"\xc7\x09\x01" + struct.pack(">BQ", value.kind, value.number)
    if isinstance(value, (list, tuple)):
        body = b"".join(pack(item) for item in value)
        if len(value) < 16:
            return bytes([0x90 | len(value)]) + body
        return b"\xdd" + struct.pack(">I", len(value)) + body
    raise TypeError(type(value))


class Unpacker:
    """One value after the other."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise ValueError("a frame ends too early")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def ext(self, size):
        kind = self.number(">b")
        body = self.take(size)
        if kind != 1 or size != 9:
            raise ValueError("an ext that the protocol does not have")
        return Container(*struct.unpack(">BQ", body))

    def array(self, count):
        return [self.value() for _ in range(count)]

    def value(self):
        first = self.number(">B")
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 256
        if 0x90 <= first < 0xA0:
            return self.array(first & 15)
        if 0xA0 <= first < 0xC0:
            return self.take(first & 31).decode()
        simple = {0xC0: None, 0xC2: False, 0xC3: True}
        if first in simple:
            return simple[first]
        numbers = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I",
                   0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
        if first in numbers:
            return self.number(numbers[first])
        sizes = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xC7: ">B", 0xD9: ">B",
                 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I"}
        if first not in sizes:
            raise ValueError(f"byte {first:#x} is not in the protocol")
        size = self.number(sizes[first])
        if first <= 0xC6:
            return self.take(size)
        if first == 0xC7:
            return self.ext(size)
        return self.array(size) if first >= 0xDC else self.take(size).decode()


# ---- connections: sections 1 and 2 ----

def connect(address):
    """The socket, and the binding of the handshake."""
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(30)
        sock.connect(rest)
        return sock, bytes(32)
    host, _, port = rest[2:].rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "tcp":
        return sock, bytes(32)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(sock)
    return sock, hashlib.sha256(sock.getpeercert(True)).digest()


def receive(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError("the server has closed the connection")
        data += piece
    return data


def receive_message(sock, length):
    head = receive(sock, 16)
    version, status = struct.unpack("<II", head[8:])
    if head[:8] != MAGIC:
        raise Refused("that is no manager")
    if status != 0:
        raise Refused(status)
    if version != VERSION:
        raise Refused("another version")
    return head + receive(sock, length - 16)


class Manager:
    def __init__(self, address, key, session=bytes(16)):
        self.sock, binding = connect(address)
        self.replies = {}
        self.next_id = 1
        try:
            self.shake(key, binding, session)
        except BaseException:
            self.sock.close()
            raise

    def shake(self, key, binding, session):
        hello = (MAGIC + struct.pack("<II", VERSION, FOR_MANAGER)
                 + os.urandom(32) + session
                 + struct.pack("<II", os.getpid(), 0))
        self.sock.sendall(hello)
        challenge = receive_message(self.sock, 48)
        said = binding + hello + challenge
        proof = hmac.digest(key, b"libipc1 client\0\0" + said, "sha256")
        self.sock.sendall(proof)
        welcome = receive_message(self.sock, 96)
        right = hmac.digest(
            key, b"libipc1 server\0\0" + said + proof + welcome[:64], "sha256")
        if not hmac.compare_digest(right, welcome[64:]):
            raise Refused("the server does not have the key")
        self.session = welcome[16:32]
        (self.instance, self.flags, self.frame_bytes, self.in_flight,
         self.grace_ms, self.depth, self.nodes) = struct.unpack(
             "<QIIIIII", welcome[32:64])

    def send(self, op, obj=0, *args):
        """Ask, and do not wait: the id."""
        request_id = self.next_id
        self.next_id += 1
        frame = pack([request_id, op, obj, *args])
        self.sock.sendall(struct.pack("<I", len(frame)) + frame)
        return request_id

    def reply(self, request_id):
        """[status, result ...] of that request."""
        while request_id not in self.replies:
            length = struct.unpack("<I", receive(self.sock, 4))[0]
            if not 0 < length <= self.frame_bytes:
                raise ValueError("the length of a frame")
            unpacker = Unpacker(receive(self.sock, length))
            frame = unpacker.value()
            if unpacker.at != length:
                raise ValueError("more than a frame")
            self.replies[frame[0]] = frame[1:]
            if frame[0] == 0:
                raise Failed(frame[1], frame[2])
        status, *results = self.replies.pop(request_id)
        if status < 0:
            raise Failed(status, results[0] if results else "")
        return [status, *results]

    def ask(self, op, obj=0, *args):
        return self.reply(self.send(op, obj, *args))

    def open(self, kind, name=None, *options):
        return self.ask(OPEN, 0, kind, name, *options)[1]

    def close(self):
        self.ask(GOODBYE)
        self.sock.close()


# ---- what is tried ----

def fails(errno, function, *args):
    try:
        function(*args)
    except Failed as error:
        assert error.errno == errno, error
        return
    raise AssertionError(f"errno {errno} was expected")


def try_list(manager):
    values = [None, True, False, 0, -1, 127, 128, -33, 2**63 - 1, -2**63,
              2**64 - 1, 1.5, float("inf"), "", "für", "x" * 40, "y" * 70000,
              b"", b"\0\xff", bytes(300)]
    obj = manager.open("list")
    for value in values:
        assert manager.ask(LIST["append"], obj, value) == [0]
    assert manager.ask(LIST["length"], obj) == [0, len(values)]
    for i, value in enumerate(values):
        got = manager.ask(LIST["get"], obj, i)
        assert got == [0, value] and type(got[1]) is type(value), got
    assert manager.ask(LIST["get"], obj, -1) == [0, values[-1]]
    assert manager.ask(LIST["slice"], obj, 3, 6, 1) == [0, *values[3:6]]
    fails(ERANGE, manager.ask, LIST["get"], obj, len(values))
    assert manager.ask(LIST["clear"], obj) == [0]
    assert manager.ask(LIST["extend"], obj, 3, 1, 2) == [0]
    assert manager.ask(LIST["sort"], obj, 0) == [0]
    assert manager.ask(LIST["slice"], obj, 0, 3, 1) == [0, 1, 2, 3]
    assert manager.ask(DROP, 0, obj, 1)[0] == 0
    fails(ESTALE, manager.ask, LIST["length"], obj)


def try_dict(manager):
    obj = manager.open("dict", None, "items", "apples", 3, 7, "seven")
    assert manager.ask(DICT["get"], obj, "apples") == [0, 3]
    assert manager.ask(DICT["set"], obj, "pears", 0.5) == [0]
    assert manager.ask(DICT["get"], obj, "pears") == [0, 0.5]
    assert manager.ask(DICT["incr"], obj, "apples", 4) == [0, 7]
    assert manager.ask(DICT["contains"], obj, "plums") == [0, 0]
    assert manager.ask(DICT["length"], obj) == [0, 3]
    items = manager.ask(DICT["items"], obj)[1:]
    assert dict(zip(items[::2], items[1::2])) == {
        "apples": 7, 7: "seven", "pears": 0.5}
    fails(ENOENT, manager.ask, DICT["get"], obj, "plums")


def try_nested(manager):
    outer = manager.open("list")
    inner = manager.ask(LIST["append_new"], outer, 8)[1]
    assert inner.kind == 8
    assert manager.ask(DICT["set"], inner.number, "a", 1) == [0]
    assert manager.ask(LIST["get"], outer, 0) == [0, inner]
    assert manager.ask(LIST["append"], outer, inner) == [0]
    assert manager.ask(LIST["get"], outer, 1) == [0, inner]


def try_pipeline(manager):
    """Many at a time, as long as fewer than in_flight are unanswered."""
    obj = manager.open("list")
    waiting = []
    for i in range(5000):
        if len(waiting) == manager.in_flight:
            assert manager.reply(waiting.pop(0)) == [0]
        waiting.append(manager.send(LIST["append"], obj, i))
    for request_id in waiting:
        assert manager.reply(request_id) == [0]
    assert manager.ask(LIST["length"], obj) == [0, 5000]
    waiting = [manager.send(LIST["get"], obj, i) for i in range(50)]
    assert [manager.reply(i)[1] for i in reversed(waiting)] == list(
        reversed(range(50)))


def try_batch(manager):
    obj = manager.open("list")
    calls = [[LIST["append"], obj, 1], [LIST["append"], obj, 2],
             [LIST["length"], obj]]
    assert manager.ask(BATCH, 0, *calls) == [0, [0], [0], [0, 2]]
    fails(ERANGE, manager.ask, BATCH, 0, [LIST["append"], obj, 3],
          [LIST["get"], obj, 9])
    assert manager.ask(LIST["length"], obj) == [0, 2]


def try_wrong_requests(manager):
    obj = manager.open("list")
    fails(ENOSYS, manager.ask, 9999)
    fails(EINVAL, manager.ask, LOCK_ACQUIRE, obj, 0, 0)
    fails(EINVAL, manager.ask, LIST["get"], obj, "x")
    fails(EINVAL, manager.ask, LIST["append"], obj, [1])
    fails(EINVAL, manager.ask, LIST["append"], obj)
    fails(ESTALE, manager.ask, LIST["length"], 2**60)
    frame = pack([manager.next_id, LIST["append"], obj]).replace(
        b"\x93", b"\x94", 1) + b"\xa2\xc3\x28"
    manager.sock.sendall(struct.pack("<I", len(frame)) + frame)
    manager.next_id += 1
    fails(EILSEQ, manager.reply, manager.next_id - 1)
    assert manager.ask(PING, 0, 1, "two") == [0, 1, "two"]


def try_broken_frame(address, key):
    manager = Manager(address, key)
    manager.sock.sendall(struct.pack("<I", 1) + b"\xc1")
    try:
        manager.reply(0)
    except Failed as error:
        assert error.errno == 71, error
    else:
        raise AssertionError("a broken frame was answered")
    try:
        receive(manager.sock, 1)
    except (EOFError, ConnectionError):
        pass
    else:
        raise AssertionError("the connection went on")
    manager.sock.close()


def try_names(address, key):
    first = Manager(address, key)
    second = Manager(address, key)
    assert first.session != second.session
    name = f"client.py {os.getpid()}"
    obj = first.open("dict", name)
    assert first.ask(DICT["set"], obj, "x", 1) == [0]
    assert name in first.ask(NAMES)[1::2]
    status, same = second.ask(OPEN, 0, "dict", name)[:2]
    assert status == 0
    assert second.ask(DICT["get"], same, "x") == [0, 1]
    fails(EINVAL, second.ask, OPEN, 0, "list", name)
    assert second.ask(REMOVE, 0, name) == [0]
    second.close()
    first.close()


def try_lock(address, key):
    """A lock goes with the session that held it."""
    first = Manager(address, key)
    second = Manager(address, key)
    name = f"client.py {os.getpid()} lock"
    lock = first.open("lock", name)
    status, token = first.ask(LOCK_ACQUIRE, lock, 7, 0)
    assert status == 0
    same = second.open("lock", name)
    fails(11, second.ask, LOCK_ACQUIRE, same, 1, 0)
    waiting = second.send(LOCK_ACQUIRE, same, 1, -1)
    assert second.ask(PING) == [0]  # is answered meanwhile
    first.close()
    status, next_token = second.reply(waiting)
    assert status == 1 and next_token != token
    assert second.ask(LOCK_RELEASE, same, 1) == [0]
    assert second.ask(REMOVE, 0, name) == [0]
    second.close()


def try_to_come_back(address, key):
    """What was done before the connection was lost is not done again."""
    first = Manager(address, key)
    if first.grace_ms == 0:
        first.close()
        return
    obj = first.open("list")
    request_id = first.send(LIST["append"], obj, 1)
    first.reply(request_id)
    first.sock.close()
    second = Manager(address, key, first.session)
    assert second.flags & RESUMED and second.session == first.session
    second.next_id = request_id
    assert second.ask(LIST["append"], obj, 1) == [0]
    assert second.ask(LIST["length"], obj) == [0, 1]
    second.close()


def try_wrong_key(address, key):
    try:
        Manager(address, bytes(len(key)))
    except Refused as error:
        assert error.args[0] == EACCES, error
    else:
        raise AssertionError("a wrong key was taken")


def main():
    address, key_file = sys.argv[1:]
    with open(key_file, "rb") as file:
        key = file.read()
    manager = Manager(address, key)
    try_list(manager)
    try_dict(manager)
    try_nested(manager)
    try_pipeline(manager)
    try_batch(manager)
    try_wrong_requests(manager)
    assert manager.ask(COUNT)[1] >= 0
    manager.close()
    try_broken_frame(address, key)
    try_names(address, key)
    try_lock(address, key)
    try_to_come_back(address, key)
    try_wrong_key(address, key)
    print("ok")


if __name__ == "__main__":
    main()
