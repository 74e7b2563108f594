#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""What an attacker on the wire, and an auditor of keys, would do with ESP.

  esp.py send PCAP DEVICE [FROM [COUNT]]   put captured ESP frames on the wire again, unchanged
  esp.py flip PCAP DEVICE                  each on the wire with one bit of another field turned over; prints the fields
  esp.py keys                              `ip xfrm state` on stdin -> "src dst spi digest" a line; no key is printed
  esp.py audit KEYS PCAP...                fails when one key is under two (src, dst, SPI), or a sequence number is on the
                                           wire under one of these more often than it has had keys
  esp.py search SECRETS FILE...            a line for each file that holds one of the secrets (hex, a line each): raw, in
                                           hex or in base64

Captures are little-endian pcap files of Ethernet frames, as tcpdump writes them here.
"""
import base64
import binascii
import hashlib
import re
import socket
import struct
import sys

ETHERNET, IPV4, ESP_PROTOCOL = 14, 0x0800, 50


def frames(path):
    with open(path, "rb") as file:
        data = file.read()
    if struct.unpack_from("<I", data)[0] != 0xA1B2C3D4:
        sys.exit(f"{path}: no little-endian pcap file")
    offset = 24
    while offset + 16 <= len(data):
        length = struct.unpack_from("<I", data, offset + 8)[0]
        yield data[offset + 16 : offset + 16 + length]
        offset += 16 + length


def esp_frames(path):
    for frame in frames(path):
        if struct.unpack_from("!H", frame, 12)[0] == IPV4 and frame[ETHERNET + 9] == ESP_PROTOCOL:
            yield frame


def wire(device):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((device, 0))
    return out


def send(path, device, first=0, count=None):
    chosen = list(esp_frames(path))[int(first) :]
    chosen = chosen if count is None else chosen[: int(count)]
    out = wire(device)
    for frame in chosen:
        out.send(frame)
    print(len(chosen))


def fields(frame):
    """Name and bit (from the frame's first byte) of each field of an ESP packet in IPv4."""
    ip, esp, end = ETHERNET, ETHERNET + 20, len(frame)
    return [
        ("version", ip * 8), ("header length", ip * 8 + 7), ("DSCP", (ip + 1) * 8), ("total length", (ip + 3) * 8 + 6),
        ("identification", (ip + 5) * 8 + 7), ("reserved flag", (ip + 6) * 8), ("don't fragment", (ip + 6) * 8 + 1),
        ("more fragments", (ip + 6) * 8 + 2), ("fragment offset", (ip + 7) * 8 + 7), ("TTL", (ip + 8) * 8 + 3),
        ("protocol", (ip + 9) * 8 + 7), ("header checksum", (ip + 11) * 8 + 7), ("source", (ip + 15) * 8 + 7),
        ("destination", (ip + 19) * 8 + 7), ("SPI, first bit", esp * 8 + 1), ("SPI, key ID", (esp + 3) * 8 + 7),
        ("sequence, first bit", (esp + 4) * 8), ("sequence, last bit", (esp + 7) * 8 + 7), ("IV", (esp + 8) * 8),
        ("first byte of the ciphertext", (esp + 16) * 8), ("last byte of the ciphertext", (end - 17) * 8 + 7),
        ("first byte of the ICV", (end - 16) * 8), ("last bit of the ICV", (end - 1) * 8 + 7),
    ]


def flip(path, device):
    out = wire(device)
    held = list(esp_frames(path))
    wanted = len(fields(held[0]))
    if len(held) < wanted:
        sys.exit(f"{path}: {len(held)} frames, {wanted} are wanted")
    for frame, (name, bit) in zip(held, fields(held[0])):
        changed = bytearray(frame)
        changed[bit // 8] ^= 0x80 >> bit % 8
        out.send(bytes(changed))
        print(name)


def states(text):
    for entry in re.split(r"^(?=src )", text, flags=re.MULTILINE):
        ends = re.match(r"src (\S+) dst (\S+)", entry)
        spi = re.search(r"proto esp spi (0x[0-9a-f]+)", entry)
        keys = re.findall(r"^\s*(?:aead|auth-trunc|auth|enc) \S+ (0x[0-9a-f]+)", entry, flags=re.MULTILINE)
        if ends and spi and keys:
            yield ends[1], ends[2], spi[1], "".join(key[2:] for key in keys)


def keys():
    for source, dest, spi, key in states(sys.stdin.read()):
        print(source, dest, spi, hashlib.sha256(key.encode()).hexdigest())


def audit(known, *captures):
    """A peer's new session changes the key under a node's own SPI: there the numbers begin anew, once for each key."""
    by_way, by_key, used, faults = {}, {}, {}, 0
    for line in open(known):
        source, dest, spi, key = line.split()
        way = socket.inet_aton(source) + socket.inet_aton(dest) + struct.pack("!I", int(spi, 16))
        by_way.setdefault(way, set()).add(key)
        if by_key.setdefault(key, way) != way:
            print("one key under two of them, one is", source, dest, spi)
            faults += 1
    for path in captures:
        for frame in esp_frames(path):
            number = frame[ETHERNET + 12 : ETHERNET + 28]  # source, destination, SPI, sequence number
            used[number] = used.get(number, 0) + 1
    for number, times in used.items():
        if times > len(by_way.get(number[:12], ())):
            print(f"{times} times on the wire:", binascii.hexlify(number).decode())
            faults += 1
    print(f"keys {len(by_key)} packets {sum(used.values())} faults {faults}")
    return faults


def search(secrets_file, *files):
    secrets = [binascii.unhexlify(line.strip()) for line in open(secrets_file) if line.strip()]
    if not secrets or min(map(len, secrets)) < 8:
        sys.exit("no secrets to look for")
    needles = []
    for secret in secrets:
        text = base64.b64encode(secret).rstrip(b"=")
        needles += [secret, binascii.hexlify(secret), binascii.hexlify(secret).upper(), text[: len(text) - 1]]
    for path in files:
        with open(path, "rb") as file:
            data = file.read()
        if any(needle in data for needle in needles):
            print(path)


def main():
    commands = {"send": send, "flip": flip, "keys": keys, "audit": audit, "search": search}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    return commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
