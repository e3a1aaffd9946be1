"""``python -m ownerd.softtoken``."""

from __future__ import annotations

import sys

from ownerd.softtoken.main import main

sys.exit(main())
