"""`python -m gateway`: a stand-in until the command line lands."""

import sys
from pathlib import Path

from gateway.app import serve

sys.exit(serve(Path(sys.argv[3]), {}))
