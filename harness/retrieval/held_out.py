"""Which packages are the test split of the benchmark `retrieval`: nothing that trains may read them.

They are top-level names of the standard library, modules and packages, that every supported Python has. The list is
the split, so a change of it is another benchmark: encoders that were trained before have seen what is added.
"""

from __future__ import annotations

HELD_OUT_PACKAGES = (
    "calendar",
    "configparser",
    "difflib",
    "enum",
    "fractions",
    "heapq",
    "inspect",
    "ipaddress",
    "json",
    "mailbox",
    "random",
    "shutil",
    "statistics",
    "tarfile",
    "textwrap",
    "traceback",
    "uuid",
    "zipfile",
)
