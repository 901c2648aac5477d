"""`python -m engine ...` is `pentimento ...`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
