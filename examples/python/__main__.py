"""python3 -m sparse24: which library a wheel brings, and what it can do."""
from sparse24 import _main

_main()
