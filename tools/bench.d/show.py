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


def plain(document):
    rows = [["measurement", "min", "median", "max", ""]]
    rows += [[each["name"], number(each["min"]), number(each["median"]), number(each["max"]), each["unit"]]
             for each in document["measurements"]]
    print(table(rows, right=(1, 2, 3)))


def show(document):
    if document["bench"] == "datapath":
        datapath(document)
    else:
        plain(document)
    print(f"{document['bench']}: {document['commit']}, Linux {document['kernel']}, {document['processor']}")
