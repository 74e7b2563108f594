# SPDX-License-Identifier: Apache-2.0
"""What Sheath is meant to cost, held against what was measured, with what holds it where it costs more."""
from dataclasses import dataclass

POD_PATHS = ("uplink egress: pod to remote pod", "pod egress: pod to remote pod")
RTT, TCP, MERGED = "round trip", "TCP", "TCP packets received"


@dataclass
class Target:
    what: str
    bound: str  # as it is to be read
    measured: float | None  # nothing: the results do not have it
    met: bool
    shown: str
    why: str = ""  # what holds it


def at_most(what, bound, measured, shown, why=""):
    return Target(what, f"≤ {bound:g}", measured, measured is not None and measured <= bound, shown, why)


def at_least(what, bound, measured, shown, why=""):
    return Target(what, f"≥ {bound:g}", measured, measured is not None and measured >= bound, shown, why)


def times(value):
    return "" if value is None else f"{value:.2f}"


# --- programs --------------------------------------------------------------------------------------------------------

def programs(document):
    """Each against the floor, with one peer; and the largest cluster against the smallest."""
    found = {(each["path"], each["prefixes"]): each for each in document["measurements"]
             if not each["cold"] and not each["spread"] and each["family"] == "ipv4"}
    sizes = sorted({size for _, size in found})
    small, large = sizes[0], sizes[-1]
    paths = list(dict.fromkeys(path for path, _ in found))
    nothing = found[("pod egress: pod to world", small)]["to_floor"]["median"]
    why = (f"what looks nothing up in a map of prefixes, and only parses and counts (pod egress: pod to world), takes "
           f"{nothing:.2f} × the floor: it trusts no length, knows fragments, extension headers and tags, and keeps a counter for "
           "each reason. The floor does none of it")
    for path in POD_PATHS:
        ratio = found[(path, small)]["to_floor"]["median"]
        yield at_most(f"{path}, × the floor", 1.25, ratio, times(ratio), why)
        growth = found[(path, large)]["median"] / found[(path, small)]["median"]
        yield at_most(f"{path}: {large:,} prefixes, × {small:,}", 1.15, growth, times(growth))
    others = {path: found[(path, small)]["to_floor"]["median"] for path in paths if path not in POD_PATHS}
    worst = max(others.values())
    yield at_most("every other path, × the floor", 1, worst, f"{min(others.values()):.2f} to {worst:.2f}",
                  "the same, and a look-up of both ends where the floor has one; what an uplink brings or sends besides pods is "
                  "looked up among the nodes, too")


# --- on the wire -----------------------------------------------------------------------------------------------------

# scene, metric, bound on 6.12; a kernel before it may be 5 % off
WIRE = (("IPsec by Sheath, fast path", TCP, 1.35), ("IPsec by Sheath, fast path", RTT, 0.80),
        ("WireGuard by Sheath, fast path", TCP, 1.10), ("WireGuard by Sheath, fast path", RTT, 0.90),
        ("IPsec by Sheath", TCP, 1.05), ("IPsec by Sheath", RTT, 1.00),
        ("WireGuard by Sheath", TCP, 0.98), ("WireGuard by Sheath", RTT, 1.02))

MANY = "the programs look up in the same maps with WireGuard, which is flat: it is xfrm that has 10,000 more policies and states"


def wire(document):
    found = {(each["scene"], each["metric"]): each for each in document["measurements"] if each["family"] == "ipv4"}
    kernel = ".".join(document["kernel"].split(".")[:2])
    slack = 1.05 if kernel == "6.1" else 1.0

    def against(scene, other, metric):
        if (scene, metric) not in found or (other, metric) not in found:
            return None
        return found[(scene, metric)]["median"] / found[(other, metric)]["median"]

    def why_not(scene, metric):
        bare = found.get((f"{scene}, no backstop", metric))
        if bare is None:
            return ""
        text = f"without the backstop {bare['to_alone']:.2f}"
        least = found.get((scene.replace("Sheath", "the least programs"), metric))
        if least is not None:
            text += (f"; the least that could redirect in the programs' place, which checks and counts nothing, and no backstop: "
                     f"{least['to_alone']:.2f}")
        merged = [found.get((each, MERGED)) for each in (scene, scene.replace(", fast path", ""))]
        fast, slow = (each["median"] if each else 0 for each in merged)
        if metric == TCP and "fast path" in scene and slow and fast > 1.2 * slow:
            text += (f"; what comes quickly queues less, and GRO merges what queues: the same bytes come to the receiving pod as "
                     f"{fast:,.0f} packets, without the fast path as {slow:,.0f}")
        return text

    for scene, metric, bound in WIRE:
        ratio = found[(scene, metric)]["to_alone"]
        why = why_not(scene, metric)
        if metric == TCP:
            yield at_least(f"{kernel}, {scene}: {metric}, × the same crypto alone", round(bound / slack, 3), ratio, times(ratio), why)
        else:
            yield at_most(f"{kernel}, {scene}: {metric}, × the same crypto alone", round(bound * slack, 3), ratio, times(ratio), why)
    for engine in ("WireGuard", "IPsec"):
        ours = f"{engine} by Sheath"
        for metric in (RTT, TCP):
            ratio = against(f"{ours}, 5,000 more peers", ours, metric)
            if ratio is not None:
                yield Target(f"{kernel}, {ours}: {metric} beside 5,000 more peers, × beside none", "within 3 %", ratio,
                             abs(ratio - 1) <= 0.03, times(ratio), MANY)
        ratio = against(ours, f"{ours}, permissive", RTT)
        yield at_most(f"{kernel}, {ours}: {RTT} in strict mode, × permissive", 1.01, ratio, times(ratio))
        ratio = against(f"{ours}, node encryption", ours, RTT)
        rule = against(f"{ours}, a routing rule of another's", ours, RTT)
        yield at_most(f"{kernel}, {ours}: {RTT} of pods with node encryption, × without", 1.01, ratio, times(ratio),
                      "a routing rule leads outer packets by a table of their own (else inner and outer share a path MTU), and a kernel "
                      "with a rule of its own leaves its short way of looking routes up" +
                      (f": a rule that nothing meets, and no node encryption: {rule:.2f}" if rule else ""))


# --- control plane ---------------------------------------------------------------------------------------------------

def control_plane(document):
    found = {(each["engine"], each["what"], each["nodes"]): each for each in document["measurements"]}
    sizes = sorted({size for _, _, size in found})
    fewest, small, large = sizes[0], min((each for each in sizes if each >= 50), default=sizes[0]), sizes[-1]

    def beside(engine, what):
        return found[(engine, what, large)]["to_reference"]

    def growth(engine, what):
        return found[(engine, what, large)]["median"] / found[(engine, what, small)]["median"]

    def share(engine, what, of):
        part = found.get((engine, what, large))
        return part["median"] / found[(engine, of, large)]["median"] if part else None

    def reads_all(engine):
        part = share(engine, "sheath: reading and checking", f"{'wg' if engine == 'wireguard' else 'ip'}: dump")
        return f"`sheath config check` alone takes {part:.1f} × one dump: " if part else ""

    why = "all reading included, where wg setconf is handed a list"
    if reading := share("wireguard", "sheath: reading and checking", "wg: setconf"):
        why = (f"reading and checking {large:,} node objects (`sheath config check`) alone takes {reading:.2f} × wg setconf, which is "
               "handed a list of peers")
    if kernel := share("wireguard", "wg: setconf, in the kernel", "wg: setconf"):
        why += f", and {kernel:.2f} of which is the kernel's, nearly the same for both"
    ratio = beside("wireguard", "sheath: first sync")
    yield at_most(f"WireGuard, first sync of {large:,} nodes, × wg setconf", 1.1, ratio, times(ratio), why)
    ratio = beside("ipsec", "sheath: first sync")
    why = "ip is handed its keys; here each pair of nodes has its own, and an X25519 and an HKDF for it"
    if kernel := share("ipsec", "ip: batch, in the kernel", "ip: batch"):
        why += f"; the kernel's part of ip -batch, nearly the same for both, is {kernel:.2f} of it, and nobody can be faster than that"
    yield at_most(f"IPsec, the same, × ip -batch", 0.6, ratio, times(ratio), why)
    for engine, name, tool in (("wireguard", "WireGuard", "wg"), ("ipsec", "IPsec", "ip -batch")):
        ratio = beside(engine, "sheath: no change")
        yield at_most(f"{name}, no change, {large:,} nodes, × one dump", 1.2, ratio, times(ratio),
                      reads_all(engine)
                      + "`sheath apply` reads and checks all objects each time; the agent only those that changed"
                      + ("" if engine == "wireguard" else ", and `apply` derives all keys to compare them"))
        resync = found.get((engine, "agent: processor for a full resync", large), {}).get("to_reference")
        if resync:
            yield at_most(f"{name}, the same by the agent: processor, × one dump's", 1.2, resync, times(resync),
                          "it looks at each of the node objects for changes, at maps, routes and devices, and judges what it found")
        alone = found.get((engine, "sheath: processor without a change", fewest))
        if alone and fewest <= 4:
            yield at_most(f"{name}, `sheath apply` without a change at {fewest} nodes, ms", 50, alone["median"],
                          f"{alone['median']:.0f}",
                          f"by a clock that takes 2 ns an instruction: {alone['median'] / 2:.0f} million of them, the kernel's and the "
                          "start of the program included; among them all slots of maps that are nearly empty, which the kernel "
                          "walks")
        what = "agent: processor for one node added"
        yield at_most(f"{name}, processor for one node added: {large:,} nodes, × {small:,}", 1.2, growth(engine, what),
                      times(growth(engine, what)))
        added = found[(engine, what, large)]["median"]
        yield at_most(f"{name}, the same at {large:,} nodes, ms", 2, added, f"{added:.1f}",
                      f"by a clock that takes 2 ns an instruction: {added / 2:.1f} million of them, the kernel's included"
                      + ("" if engine == "wireguard" else ", in four rounds until the node was heard")
                      + (f"; what {tool} and the kernel take for one peer of as many is {1 / beside(engine, what):.2f} of it"
                         if beside(engine, what) else ""))
        resident = found[(engine, "agent: resident memory", large)]["median"] / 1024
        yield at_most(f"{name}, agent's resident memory at {large:,} nodes, MiB", 24, resident, f"{resident:.1f}")


CHECKS = {"datapath": programs, "wire": wire, "control-plane": control_plane}


def of(documents):
    return [target for each in documents for target in CHECKS[each["bench"]](each)]
