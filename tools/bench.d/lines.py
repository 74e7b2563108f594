# SPDX-License-Identifier: Apache-2.0
"""From the lines of JSON that the benchmarks in guests print to the measurements of a document."""
import json

from document import Misuse, measurement, median

# What a scene of the wire is held against: the same crypto without us.
ALONE = {"WireGuard": "WireGuard alone", "IPsec": "xfrm alone", "xfrm": "xfrm alone"}
PLAIN = "no encryption"
HIGHER_IS_BETTER = {"TCP", "UDP", "TCP connections"}

# What a measurement of the control plane is held against, in the same cluster.
REFERENCES = {
    ("wireguard", "sheath: first sync"): "wg: setconf",
    ("wireguard", "sheath: no change"): "wg: dump",
    ("ipsec", "sheath: first sync"): "ip: batch",
    ("ipsec", "sheath: no change"): "ip: dump",
    ("wireguard", "agent: processor for a full resync"): "wg: processor for a dump",
    ("ipsec", "agent: processor for a full resync"): "ip: processor for a dump",
    ("wireguard", "sheath: processor without a change"): "wg: processor for a dump",
    ("ipsec", "sheath: processor without a change"): "ip: processor for a dump",
    ("wireguard", "agent: processor for one node added"): "wg: processor for one peer",
    ("ipsec", "agent: processor for one node added"): "ip: processor for one peer",
}


def read_lines(stream):
    lines = []
    for line in stream:
        if not line.startswith("{"):
            continue
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise Misuse(f"the benchmark's output: {line.strip()}: {error}") from error
    if not lines:
        raise Misuse("the benchmark printed nothing")
    return lines


def grouped(lines, keys, value="value"):
    groups = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in keys), (line["unit"], []))[1].append(line[value])
    return groups


def ratio(samples, reference):
    return median(samples) / median(reference) if reference and median(reference) else None


def wire(stream):
    groups = grouped(read_lines(stream), ("scene", "family", "metric"))
    out = []
    for (scene, family, metric), (unit, samples) in groups.items():
        engine = scene.split()[0]
        alone = groups.get((ALONE.get(engine, ""), family, metric), (unit, []))[1]
        plain = groups.get((PLAIN, family, metric), (unit, []))[1]
        out.append(measurement(f"{scene}, {family}, {metric}", unit, samples, scene=scene, family=family, metric=metric,
                               higher_is_better=metric in HIGHER_IS_BETTER, to_alone=ratio(samples, alone),
                               to_plain=ratio(samples, plain)))
    return {"measurements": out}


def control_plane(stream):
    groups = grouped(read_lines(stream), ("engine", "nodes", "name"))
    out = []
    for (engine, nodes, name), (unit, samples) in groups.items():
        reference = REFERENCES.get((engine, name))
        beside = groups.get((engine, nodes, reference), (unit, []))[1]
        out.append(measurement(f"{engine}, {nodes} nodes, {name}", unit, samples, engine=engine, nodes=nodes, what=name,
                               reference=reference, to_reference=ratio(samples, beside)))
    return {"measurements": out}
