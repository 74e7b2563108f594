# SPDX-License-Identifier: Apache-2.0
"""Node objects of a cluster of any size, and what other tools would be given for the same cluster.

    cluster.py objects FOLDER FIRST LAST [SESSIONS [KEY-ID]]   one file for each node
    cluster.py batch FIRST LAST               commands for `ip -batch`: a state each way, policies for both families
    cluster.py heard PIN GENERATION           from `bpftool -j map dump` of node_ips: commands for `bpftool batch`

Node N is 172.20.X.Y and has 10.X.Y.0/24 and fd00:10:XXYY::/64, with N = 256 X + Y. Keys are made of the number: the same
cluster comes out each time. SESSIONS says of which generations there are IPsec sessions, and the fingerprints of the pre-shared keys
that they belong to, as a node publishes it: "3=0123abcd,4=4567cdef". KEY-ID is of the key files; without, the last of these.
"""
import base64
import hashlib
import json
import os
import sys

OWN = "172.18.0.2"


def key(kind, number):
    return base64.b64encode(hashlib.sha256(f"{kind} {number}".encode()).digest()).decode()


def address(number):
    return f"172.20.{number >> 8}.{number & 255}"


def pods(number):
    return [f"10.{number >> 8}.{number & 255}.0/24", f"fd00:10:{number:x}::/64"]


def tag(number):
    return f"{0x1000000 + number:07x}"


def node(number, sessions, key_id):
    annotations = {"network.cilium.io/wg-pub-key": key("wireguard", number)}
    if sessions:
        generations = [each.split("=")[0] for each in sessions.split(",")]
        annotations |= {"sheath.io/ipsec-key-id": key_id or generations[-1], "sheath.io/ipsec-psk-id": sessions,
                        "sheath.io/ipsec-pub-key": ",".join(f"{each}={key(f'session {each}', number)}" for each in generations),
                        "sheath.io/ipsec-spi-tag": ",".join(f"{each}={tag(number)}" for each in generations)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number:05}", "annotations": annotations},
            "spec": {"podCIDRs": pods(number)},
            "status": {"addresses": [{"type": "InternalIP", "address": address(number)}]}}


def objects(folder, first, last, sessions="", key_id=""):
    for number in range(first, last + 1):
        path = os.path.join(folder, f"node-{number:05}.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(node(number, sessions, key_id), file)
        os.rename(path + ".new", path)


def batch(first, last):
    """In the shape of the states and policies that the ipsec engine makes."""
    for number in range(first, last + 1):
        peer, secret = address(number), hashlib.sha256(f"batch {number}".encode()).hexdigest()[:40]
        mark = f"mark {hex(number << 16 | 0x3e00)} mask 0xffffff00"
        tail = f"replay-window 1024 flag esn af-unspec aead rfc4106(gcm(aes)) 0x{secret} 128"
        spi = "0x" + tag(number) + "3"
        print(f"xfrm state add src {peer} dst {OWN} proto esp spi {spi} reqid 1 mode tunnel if_id 1 "
              f"output-mark {hex(number << 16 | 0x3d00)} {tail}")
        print(f"xfrm state add src {OWN} dst {peer} proto esp spi 0xabc0123 reqid 1 mode tunnel if_id 1 {mark} "
              f"output-mark 0xe00 {tail}")
        for mine, theirs in zip(["10.244.1.0/24", "fd00:10:244:1::/64"], pods(number)):
            print(f"xfrm policy add src {mine} dst {theirs} dir out priority 100 if_id 1 {mark} "
                  f"tmpl src {OWN} dst {peer} proto esp spi 0xabc0123 reqid 1 mode tunnel")


def heard(pin, generation):
    low, high = 1 << generation & 255, 1 << generation >> 8
    for entry in json.load(sys.stdin):
        number = entry["formatted"]["value"]["node_id"]
        if number:
            print(f"map update pinned {pin} key {number & 255} {number >> 8} 0 0 "
                  f"value {low} {high} {low} {high} 0 0 0 0")


def main(arguments):
    match arguments:
        case ["objects", folder, first, last, *rest] if len(rest) <= 2:
            objects(folder, int(first), int(last), *rest)
        case ["batch", first, last]:
            batch(int(first), int(last))
        case ["heard", pin, generation]:
            heard(pin, int(generation))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
