"""`python -m hampred` is `hampred`."""

import sys

from hampred.cli import main

if __name__ == "__main__":
    sys.exit(main())
