"""python -m benchmarks.frozen: digests of forecasts and alarms, and their comparison with another commit.

``digest`` writes the digests of the checkout it runs in; ``compare`` has them made of a commit and of the
working tree, one after the other, and ends with exit code 1 when any of them differs or is missing.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.frozen import comparison


def arguments() -> argparse.Namespace:
    """Which of the two, and of what."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    digest = commands.add_parser("digest", help="write this checkout's digests")
    digest.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    compare = commands.add_parser("compare", help="compare the working tree with a commit")
    compare.add_argument("--base", required=True, help="the commit whose digests must be met")
    compare.add_argument(
        "--allow", action="append", default=[], metavar="KEY_PREFIX", help="keys that may differ; repeatable"
    )
    for each in (digest, compare):
        each.add_argument("--house", action="store_true", help="the UCI house instead of two made-up meters")
    return parser.parse_args()


def digest(out: Path, real: bool) -> int:
    """Write the digests of this checkout; 1 when the package imported is not this checkout's."""
    from benchmarks.frozen import digests, subjects  # the comparison itself needs none of the package

    if not subjects.PACKAGE_FILE.resolve().is_relative_to(comparison.ROOT):
        print(f"Imported {subjects.PACKAGE_FILE}, not the package of {comparison.ROOT}: set PYTHONPATH.")
        return 1
    out.write_text(json.dumps(digests.collect(real), indent=1) + "\n")
    return 0


def compare(base: str, real: bool, allow: list[str]) -> int:
    """Print what differs; 1 when that was not announced."""
    expected = comparison.of_commit(base, real)
    found = comparison.of_working_tree(real)
    differences = comparison.compare(expected, found, allow)
    for each in differences:
        print(each.line)
    failures = sum(each.fails for each in differences)
    print(f"{len(expected)} digests of {base}, {len(found)} here: {failures} not as they were.")
    return int(failures > 0)


def main() -> int:
    """Run the chosen command."""
    options = arguments()
    if options.command == "digest":
        return digest(options.out, options.house)
    return compare(options.base, options.house, options.allow)


if __name__ == "__main__":
    sys.exit(main())
