"""What the kernel knows of processes, and what machine this is. Linux only."""

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

MEGABYTE = 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that the threads of a process have used, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def is_at_rest(pid: int) -> bool:
    """Tell whether all threads of a process sleep: none runs, or waits for a core."""
    stats = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, ended ones included, to 10 ms."""
    family = psutil.Process(pid)
    own = family.cpu_times()
    used = own.user + own.system + own.children_user + own.children_system
    for child in family.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # counted among the ended ones from now on
        used += times.user + times.system
    return float(used)


def busy_seconds() -> float:
    """Return the CPU time that all of the machine has used so far, stolen time included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def resident_megabytes(pid: int) -> float:
    """Return the resident set of a process now."""
    return _memory(pid, "VmRSS")


def peak_megabytes(pid: int) -> float:
    """Return the largest resident set of a process so far."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / MEGABYTE if match else 0.0


def description(postgres: str) -> dict[str, str]:
    """Return the machine, the versions and the commit that figures belong to."""
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607  whichever git there is
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": postgres,
        "commit": commit.stdout.strip() or "unknown",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
