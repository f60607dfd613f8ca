"""Builds the library and the cluster's program with Swift and puts both into the wheel."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildWithSwift(BuildHookInterface[Any]):
    """`OMENDB_PREBUILT` names a folder that has both, to skip the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        built = os.environ.get("OMENDB_PREBUILT")
        if built is None:
            script = Path(self.root).parent / "scripts" / "build-library"
            if shutil.which("swift") is None:
                raise RuntimeError("swift is missing: install Swift 6.3, or a built wheel")
            built = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout
            built = built.strip().splitlines()[-1]
        for folder, name in (("lib", "libOmenDB.so"), ("bin", "omen-cluster")):
            build_data["force_include"][str(Path(built) / name)] = f"omendb/{folder}/{name}"
        build_data["pure_python"] = False
        # ctypes: one wheel for every Python 3.
        machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{machine}"
