#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the vectors of keys_session_test.cpp with nothing but Python's standard library: X25519 by the ladder of
RFC 7748 and HKDF-SHA256 by RFC 5869, each checked against its RFC's own vector first."""
import hashlib
import hmac

P = 2**255 - 19


def x25519(scalar: bytes, point: bytes) -> bytes:
    k = int.from_bytes(scalar, "little") & ~7 & ~(128 << 248) | 64 << 248
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x1, x2, z2, x3, z3, swap = u, 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = (x2 + z2) % P, (x2 - z2) % P, (x3 + z3) % P, (x3 - z3) % P
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = (aa - bb) % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    pseudo_random = hmac.new(salt, secret, hashlib.sha256).digest()
    out, block = b"", b""
    for counter in range(1, (length + 31) // 32 + 1):
        block = hmac.new(pseudo_random, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
    return out[:length]


def direction_key(secret, psk, sender, receiver, sender_key, receiver_key, generation, algorithm, length):
    info = b"sheath ipsec key 1"
    for field in (sender.encode(), receiver.encode(), sender_key, receiver_key, bytes([generation]), algorithm.encode()):
        info += len(field).to_bytes(2, "big") + field
    return hkdf(secret, psk, info, length)


BASE = (9).to_bytes(32, "little")
# RFC 7748, 5.2 and RFC 5869, A.1
assert x25519(
    bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
    bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
) == bytes.fromhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
assert hkdf(bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)), 42) == bytes.fromhex(
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
)

own, peer = bytes(range(1, 33)), bytes(range(101, 133))
own_public, peer_public = x25519(own, BASE), x25519(peer, BASE)
secret = x25519(own, peer_public)
assert secret == x25519(peer, own_public)
print("own public ", own_public.hex())
print("peer public", peer_public.hex())
for algorithm, length in (("rfc4106(gcm(aes))", 20), ("rfc4106(gcm(aes))", 36), ("hmac(sha256) cbc(aes)", 64)):
    psk = bytes((7 * i + 1) % 256 for i in range(length))
    for sends in (True, False):
        names = ("kind-worker", "kind-worker2") if sends else ("kind-worker2", "kind-worker")
        keys = (own_public, peer_public) if sends else (peer_public, own_public)
        key = direction_key(secret, psk, *names, *keys, 3, algorithm, length)
        print(algorithm, length, "transmit" if sends else "receive ", key.hex())
