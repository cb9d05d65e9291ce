"""Run the command line."""

import sys

from lsi.cli import main

if __name__ == "__main__":
    sys.exit(main())
