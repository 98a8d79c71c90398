"""The machine as it really is. Imports none of the packages that it looks for, so that they can still be replaced."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from pathlib import Path

_INDEX = "https://pypi.org/simple/"
_TIMEOUT = 5.0  # seconds
_CONFIG_TIMEOUT = 20.0
_IMPORT_TIMEOUT = 120.0
_LIBRARIES = (".so", ".dylib", ".dll", ".pyd")
_ARCHITECTURES = {"AMD64": "x86_64", "x64": "x86_64", "aarch64": "arm64", "ARM64": "arm64"}


class ThisPython:
    """This process's Python, in Slicer the one that comes with Slicer. `Machine` says what each member means."""

    python = sys.version_info[:2]
    system = platform.system()
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())

    @property
    def folder(self) -> Path:
        return Path(sysconfig.get_paths()["platlib"])

    def version(self, package: str) -> str | None:
        distribution = _distribution(package)
        return None if distribution is None else _version(distribution)

    def damage(self, package: str) -> str | None:
        distribution = _distribution(package)
        if distribution is None:
            spec = _spec(package)
            # A folder without __init__.py is what pip leaves of a package that it could not remove wholly.
            return "only a folder is left of it" if spec is not None and spec.origin is None else None
        if _version(distribution) is None:
            return "its metadata does not say which version it is"
        record = distribution.read_text("RECORD")
        if record is None:
            # Installed as Slicer builds its own: nothing says which files there should be.
            return None if self.is_there(package) else "its files are missing"
        missing = [name for name in _checked(record) if not Path(str(distribution.locate_file(name))).exists()]
        return f"{len(missing)} of its files are missing, {missing[0]} for one" if missing else None

    def is_there(self, module: str) -> bool:
        spec = _spec(module)
        return spec is not None and spec.origin is not None

    def is_loaded(self, module: str) -> bool:
        return module in sys.modules

    def import_problem(self, module: str) -> str | None:
        # Elsewhere, since Windows lets nobody remove the libraries that this process has loaded.
        try:
            ended = self._run(["-c", f"import {module}"], _IMPORT_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        lines = ended.stderr.strip().splitlines()
        return None if ended.returncode == 0 else lines[-1] if lines else f"Python ended with {ended.returncode}"

    def free_bytes(self) -> int:
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def is_online(self) -> bool:
        # The system's proxy settings are respected, as pip does.
        try:
            request = urllib.request.Request(self._index(), method="HEAD")
            with urllib.request.urlopen(request, timeout=_TIMEOUT):
                return True
        except urllib.error.HTTPError:
            return True  # someone answered
        except urllib.error.URLError as error:
            # A certificate that Python does not know, but pip may: hospitals look into encrypted traffic.
            return "certificate" in str(error.reason).lower()
        except (OSError, ValueError):
            return False

    def _index(self) -> str:
        """Where pip looks for packages: many a hospital has an index of its own."""
        index = os.environ.get("PIP_INDEX_URL", "")
        if not index:
            try:
                index = self._run(["-m", "pip", "config", "get", "global.index-url"], _CONFIG_TIMEOUT).stdout.strip()
            except (OSError, subprocess.TimeoutExpired):
                pass
        return index or _INDEX

    @staticmethod
    def _run(arguments: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Another Python like this one, with these arguments."""
        return subprocess.run(
            [shutil.which("PythonSlicer") or sys.executable, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # else a console flashes up on Windows
        )

    def can_write(self) -> bool:
        return os.access(self.folder, os.W_OK)

    def allows_long_paths(self) -> bool:
        if sys.platform != "win32":
            return True
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False

    def has_nvidia_driver(self) -> bool:
        name = "nvcuda" if sys.platform == "win32" else "cuda"
        return shutil.which("nvidia-smi") is not None or ctypes.util.find_library(name) is not None


def _distribution(package: str) -> importlib.metadata.Distribution | None:
    importlib.invalidate_caches()  # pip works in another process
    try:
        return importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version(distribution: importlib.metadata.Distribution) -> str | None:
    try:
        return distribution.version or None
    except (KeyError, TypeError, UnicodeDecodeError):  # METADATA is empty, cut short, or not text
        return None


def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _checked(record: str) -> list[str]:
    """Of all the files that are recorded, those whose loss breaks an import: libraries, and each package's own."""
    names = (line.split(",")[0] for line in record.splitlines())
    return [
        name for name in names if name.endswith(_LIBRARIES) or (name.count("/") == 1 and name.endswith("/__init__.py"))
    ]
