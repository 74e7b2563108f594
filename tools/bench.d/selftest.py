# SPDX-License-Identifier: Apache-2.0
"""Does `compare` see what moved, and nothing else? Prints a line for each sentence, as the other tests do."""
import random
import sys

from compare import judge, rank_sum
from document import measurement, median, number

FAILED = []


def check(sentence, held):
    print(f"{'ok' if held else 'not ok'} - bench: {sentence}")
    if not held:
        FAILED.append(sentence)


def around(centre, count, noise, generator, **more):
    return measurement("m", "ns", [generator.gauss(centre, centre * noise) for _ in range(count)], **more)


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
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
