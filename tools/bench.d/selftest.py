# SPDX-License-Identifier: Apache-2.0
"""Does `compare` see what moved, and nothing else? Are targets judged rightly? Prints a line for each sentence, as other tests do."""
import random
import sys

import targets
from compare import judge, rank_sum
from document import measurement, median, number

FAILED = []


def check(sentence, held):
    print(f"{'ok' if held else 'not ok'} - bench: {sentence}")
    if not held:
        FAILED.append(sentence)


def around(centre, count, noise, generator, **more):
    return measurement("m", "ns", [generator.gauss(centre, centre * noise) for _ in range(count)], **more)


def check_targets():
    check("a target is met at its bound", targets.at_most("t", 1.1, 1.1, "").met and targets.at_least("t", 0.9, 0.9, "").met)
    check("and not beyond it", not targets.at_most("t", 1.1, 1.2, "").met and not targets.at_least("t", 0.9, 0.8, "").met)
    check("nor where nothing was measured", not targets.at_most("t", 1.1, None, "").met)
    rows = [measurement(f"{path} {size}", "ns", [ns], path=path, prefixes=size, family="ipv4", spread=False, cold=False,
                        to_floor={"median": ns / 10})
            for path, ns in ((targets.POD_PATHS[0], 12), (targets.POD_PATHS[1], 13), ("pod egress: pod to world", 11))
            for size in (10, 65000)]
    found = {each.what: each.met for each in targets.programs({"measurements": rows})}
    check("programs are held against the floor, and against themselves in a small cluster",
          list(found.values()) == [True, True, False, True, False])


def main():
    generator = random.Random(7)
    same = [judge(around(100, 15, 0.05, generator), around(100, 15, 0.05, generator)) for _ in range(500)]
    check("of 500 measurements that did not move, two at most are said to have", sum(map(bool, same)) <= 2)
    moved = [judge(around(100, 15, 0.05, generator), around(120, 15, 0.05, generator)) for _ in range(50)]
    check("20 % more time in 5 % of noise is worse", set(moved) == {"worse"})
    higher = {"higher_is_better": True}
    check("20 % more throughput is better",
          judge(around(100, 15, 0.02, generator, **higher), around(120, 15, 0.02, generator, **higher)) == "better")
    check("less than 3 % is not worth saying, however certain",
          judge(around(100, 60, 0.001, generator), around(102, 60, 0.001, generator)) is None)
    check("a count has no noise", judge(measurement("m", "calls", [100]), measurement("m", "calls", [110])) == "worse")
    check("three samples of something that varies prove nothing",
          judge(measurement("m", "ns", [1, 2, 3]), measurement("m", "ns", [7, 8, 9])) is None)
    check("ties do not make a difference", rank_sum([5] * 10, [5] * 10) == 0)
    check("the median of an even number is between the middle two", median([4, 1, 3, 2]) == 2.5)
    check("figures have three digits", [number(v) for v in (0, 1.234, 12.34, 1234.5)] == ["0", "1.23", "12.3", "1,234"])
    check_targets()
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
