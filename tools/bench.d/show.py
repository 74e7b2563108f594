# SPDX-License-Identifier: Apache-2.0
"""Documents as tables for a terminal."""
from document import number, table


def kind(each):
    if each["cold"]:
        return "one, cold"
    return "all" if each["spread"] else "one"


def datapath(document):
    """A row for each path, family and spread; a column for each size of the cluster."""
    sizes = sorted({each["prefixes"] for each in document["measurements"]})
    rows = [["path", "", "peers"] + [f"{size:,}" for size in sizes] + ["floor"] + [f"×floor {size:,}" for size in sizes]]
    groups = {}
    for each in document["measurements"]:
        groups.setdefault((each["path"], each["family"], kind(each)), {})[each["prefixes"]] = each
    for (path, family, peers), by_size in groups.items():
        cells = [number(by_size[size]["median"]) if size in by_size else "" for size in sizes]
        ratios = [f"{by_size[size]['to_floor']['median']:.2f}" if size in by_size else "" for size in sizes]
        floor = number(by_size[max(by_size)]["floor_ns"])
        rows.append([path, family, peers] + cells + [floor] + ratios)
    print("ns per packet, median, without what the empty program takes; floor: of the largest cluster")
    print(table(rows, right=range(3, len(rows[0]))))
    print()
    rows = [["program", "instructions", "bytes", "verified"]]
    rows += [[size["name"], f"{size['xlated']:,}", f"{size['jited_bytes']:,}", f"{size['verified']:,}"]
             for size in document["programs"]]
    print(table(rows, right=(1, 2, 3)))


def times(value):
    return f"{value:.2f}" if value is not None else ""


def wire(document):
    rows = [["scene", "", "", "min", "median", "max", "", "× alone", "× plain"]]
    rows += [[each["scene"], each["family"], each["metric"], number(each["min"]), number(each["median"]), number(each["max"]),
              each["unit"], times(each["to_alone"]), times(each["to_plain"])] for each in document["measurements"]]
    print("alone: the same crypto without Sheath; plain: no encryption")
    print(table(rows, right=(3, 4, 5, 7, 8)))


def control_plane(document):
    rows = [["engine", "nodes", "", "min", "median", "max", "", "×", "of"]]
    rows += [[each["engine"], f"{each['nodes']:,}", each["what"], number(each["min"]), number(each["median"]),
              number(each["max"]), each["unit"], times(each["to_reference"]), each["reference"] or ""]
             for each in document["measurements"]]
    print(table(rows, right=(1, 3, 4, 5, 7)))


def show(document):
    {"datapath": datapath, "wire": wire, "control-plane": control_plane}[document["bench"]](document)
    print(f"{document['bench']}: {document['commit']}, Linux {document['kernel']}, {document['processor']}")
