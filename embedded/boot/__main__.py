"""Start it."""

import sys

from .order import main

sys.exit(main())
