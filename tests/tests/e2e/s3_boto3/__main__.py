"""What the S3 door does, as the library boto3 sees it.

Each function that is marked as a behaviour makes what it needs. All run, one after
the other; the end tells which failed and why.
"""

import importlib
import sys
import traceback

from scene import BEHAVIOURS

for part in ("objects", "parts", "access", "forms", "settings"):
    importlib.import_module(part)


def main():
    failed = []
    for one in BEHAVIOURS:
        try:
            one()
        except Exception:  # Whatever it is, the others are tried as well.
            failed.append(one.__name__)
            print(f"--- {one.__name__}\n{traceback.format_exc()}", file=sys.stderr)
    print(f"{len(BEHAVIOURS) - len(failed)} of {len(BEHAVIOURS)} behaviours hold")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
