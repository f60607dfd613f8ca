"""Where and with what a measurement was made."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

from omenbench.paths import ROOT

PEERS = ["numpy", "hnswlib", "faiss-cpu", "usearch", "scalable-vs", "omendb", "simsimd", "numkong"]


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def cpu_flags() -> list[str]:
    """The vector instructions that matter for distances."""
    wanted = {"avx2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
              "asimd", "asimddp", "sve"}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return sorted(wanted & set(line.split(":", 1)[1].split()))
    return []


def machine() -> dict:
    return {
        "cpu": cpu_model(),
        "flags": cpu_flags(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
    }


def versions() -> dict:
    found = {"python": platform.python_version(), "commit": commit()}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def commit() -> str:
    """The commit that is measured; `+` when the sources differ from it."""
    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", "Sources", "Package.swift", "bench/Sources")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+" if changed else "")


def utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
