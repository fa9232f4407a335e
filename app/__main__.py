"""python -m r1chat.app is the r1chat command."""

import sys

from .cli import main

sys.exit(main())
