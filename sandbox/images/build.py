"""The image that cells run: made from a pinned registry image, or from this machine's own Python.

`lay_out` packs interpreter, standard library, numpy and the shared libraries that they name, with the guest, into a
folder: the root file system of local cells, and (through `docker import`) the image of Docker cells where no registry
can be reached. Both ways are cached by a key over everything that goes in. Holds nothing of the user's: no
site-packages but numpy, no home folder, no environment.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import sandbox.guest
from sandbox.contract import SandboxUnavailable

RECIPE = "5"  # raise it when the layout below changes
GUEST_HOME = "/opt/harness"
PYTHON = "/usr/local/bin/python3"
COMMAND = [PYTHON, "-s", "-P", "-S", "-B", "-m", "sandbox.guest"]
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONPATH": GUEST_HOME, "LD_BIND_NOW": "1"}
WORK = "/work"
USER_ID = 20_000
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "config"}
    | {"site-packages", "dist-packages"}
)
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")


def guest_files() -> dict[str, bytes]:
    """Return what runs inside a cell, by its path below GUEST_HOME."""
    folder = Path(sandbox.guest.__file__).parent
    files = {f"sandbox/guest/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    return {"sandbox/__init__.py": b"", **files}


def guest_key(*parts: str) -> str:
    """Return a key over the guest's sources and whatever else decides an image's content (16 hex digits)."""
    digest = hashlib.sha256("\0".join((RECIPE, *parts)).encode())
    for name, content in guest_files().items():
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def host_key() -> str:
    """Return the key of the image packed from this machine's Python."""
    return guest_key("host", sys.version, platform.machine(), platform.libc_ver()[1], _numpy_version())


def cache_folder() -> Path:
    """Return where packed images are kept: $HARNESS_CACHE, or the user's cache folder."""
    if own := os.environ.get("HARNESS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"


def host_root() -> Path:
    """Return the folder packed from this machine's Python, packing it first if needed.

    Raises SandboxUnavailable when this Python cannot be packed (no `ldd`, no room).
    """
    target = cache_folder() / "rootfs" / host_key()
    if (target / "DIGEST").exists():
        return target
    building = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
        lay_out(building)
        (building / "DIGEST").write_text(_tree_digest(building))
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:  # another process was faster
            if not (target / "DIGEST").exists():
                raise
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            f"this machine's Python could not be packed into {target}: {error}. "
            "Free some room there, or set HARNESS_CACHE to another folder."
        ) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    return target


def lay_out(root: Path) -> None:
    """Write the root file system of a cell into an empty folder."""
    for folder in ("dev", "etc", "proc", "tmp", "sys", WORK[1:], "usr/local/bin"):
        (root / folder).mkdir(parents=True)
    (root / WORK[1:]).chmod(0o1777)  # the guest's, so that a program may write there but not change it
    (root / "etc/passwd").write_text(f"root:x:0:0::/:/bin/false\nprogram:x:{USER_ID}:{USER_ID}::{WORK}:/bin/false\n")
    for name, content in guest_files().items():
        path = root / GUEST_HOME[1:] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    shutil.copy2(executable, root / PYTHON[1:])
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = root / "usr/local" / sys.platlibdir / version
    paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
    _copy_packages(Path(paths["stdlib"]), library)
    if Path(paths["platstdlib"]) != Path(paths["stdlib"]):
        _copy_packages(Path(paths["platstdlib"]), library)
    for package in _numpy_folders():
        _copy_packages(package, library / "site-packages" / package.name)
    _copy_shared_libraries(root, [executable, *sorted(library.rglob("*.so*"))])
    for path in root.rglob("*"):  # in a cell these are somebody else's files, and the umask here may be strict
        mode = path.lstat().st_mode
        if not path.is_symlink():
            path.chmod(mode | 0o444 | (mode & 0o100) // 0o100 * 0o111)


def _copy_packages(source: Path, target: Path) -> None:
    def left_out(folder: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name in _LEFT_OUT or name.startswith("config-") or ".opt-" in name or name.endswith((".a", ".exe"))
        ]

    shutil.copytree(source, target, ignore=left_out, dirs_exist_ok=True)


def _numpy_folders() -> list[Path]:
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [folder for folder in (package, package.parent / "numpy.libs") if folder.is_dir()]


def _numpy_version() -> str:
    try:
        return importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _copy_shared_libraries(root: Path, binaries: list[Path]) -> None:
    """Copy what `ldd` names, each to its own place; what lies outside the system's folders goes beside libc."""
    found = sorted(set(_needed(binaries)))
    home = next((Path(path).parent for path in found if Path(path).name.startswith("libc.so")), Path("/lib"))
    for path in found:
        library = Path(path)
        if library.is_relative_to(root):  # numpy brings libraries of its own, which it finds by a relative path
            continue
        system = library.parts[1] in ("lib", "lib64", "usr") and "local" not in library.parts
        target = root / (library if system else home / library.name).relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(library.resolve(), target)


def _needed(binaries: list[Path]) -> Iterator[str]:
    for start in range(0, len(binaries), 200):
        listing = subprocess.run(
            ["ldd", *map(str, binaries[start : start + 200])], capture_output=True, text=True, timeout=60
        )
        yield from _LIBRARY.findall(listing.stdout)


def _tree_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(root):
        digest.update(f"{path.relative_to(root)}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest()


def _files(root: Path) -> Iterable[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
