# SPDX-License-Identifier: Apache-2.0
"""What moved between two documents, beyond noise.

Two sets of samples differ when a rank-sum test (Mann and Whitney, normal approximation) says so with one error in a
thousand, and their medians are at least 3 % apart: of hundreds of measurements, one in a hundred moves by chance alone.
"""
import math

from document import Misuse, number, read, table

CERTAIN = 3.29  # standard deviations: p < 0.001, both sides
WORTH_SAYING = 0.03


def rank_sum(first, second):
    """How many standard deviations apart; 0 where there are too few samples to tell."""
    n, m = len(first), len(second)
    if n < 4 or m < 4:
        return 0.0
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        rank = (at + 1 + end) / 2
        ranks += rank * sum(1 for value in ordered[at:end] if value[1] == 0)
        ties += (end - at) ** 3 - (end - at)
        at = end
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    return (ranks - n * (total + 1) / 2) / math.sqrt(variance) if variance > 0 else 0.0


def judge(old, new):
    """'better', 'worse' or None."""
    apart = (new["median"] - old["median"]) / abs(old["median"]) if old["median"] else 0.0
    if old["samples"] == new["samples"] or abs(apart) < WORTH_SAYING:
        return None
    counted = len(set(old["samples"])) == 1 and len(set(new["samples"])) == 1  # a count has no noise
    if not counted and abs(rank_sum(old["samples"], new["samples"])) < CERTAIN:
        return None
    higher = new.get("higher_is_better", False)
    return "better" if (apart > 0) == higher else "worse"


def compare(old_path, new_path):
    old, new = read(old_path), read(new_path)
    if old["bench"] != new["bench"]:
        raise Misuse(f"{old_path} is of {old['bench']}, {new_path} of {new['bench']}")
    before = {each["name"]: each for each in old["measurements"]}
    rows = [["", "measurement", "before", "after", "change"]]
    compared = moved = 0
    for each in new["measurements"]:
        if each["name"] not in before:
            continue
        compared += 1
        was = before[each["name"]]
        verdict = judge(was, each)
        if verdict is None:
            continue
        moved += 1
        change = (each["median"] - was["median"]) / abs(was["median"]) * 100
        rows.append([verdict, each["name"], f"{number(was['median'])} {was['unit']}", f"{number(each['median'])} {each['unit']}",
                     f"{change:+.0f} %"])
    if not compared:
        raise Misuse("the two have no measurement in common")
    if moved:
        print(table(rows, right=(2, 3, 4)))
    if old["kernel"] != new["kernel"] or old["processor"] != new["processor"]:
        print(f"not the same machine: {old['kernel']} on {old['processor']}, {new['kernel']} on {new['processor']}")
    print(f"{compared} measurements compared, {moved} moved beyond noise ({old['commit']} → {new['commit']})")
    return 0
