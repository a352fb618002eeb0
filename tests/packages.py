"""Packages that only the nightly run needs: what is not installed goes into a virtual environment, in which the program runs again."""
import importlib.util
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]


def need(packages, environment=None):
    """`packages`: names as they are imported, and as the package index has them. `environment` None: build/loaders."""
    if all(importlib.util.find_spec(name) is not None for name in packages):
        return
    if sys.argv[-1] == "installed":
        sys.exit("packages are missing although they were installed: remove the environment")
    environment = environment or str(ROOT / "build/loaders")
    python = pathlib.Path(environment, "bin", "python3")
    if not python.exists():
        venv.create(environment, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--extra-index-url", "https://download.pytorch.org/whl/cpu",
                    *packages.values()], check=True)
    os.execv(python, [str(python), *sys.argv, "installed"])
