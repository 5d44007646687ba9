"""What the machine does while a training goes on: CPU, memory, disks and NVIDIA's GPUs, as metrics.

The names and units are dvclive's (3.49.1, monitor_system.py): `system/cpu/usage (%)`, `system/ram/usage (GB)`,
`system/disk/usage (%)/main`, `system/gpu/usage (%)/0`, …; counts and totals are in the summary only. Figures are
read from `/proc` on Linux and through psutil elsewhere, where it is installed; GPUs through pynvml, else by
`nvidia-smi`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_GB = 1024.0**3
_IS_ACTIVE = 20  # percent at which a core counts as used
_TOTALS = (
    "system/cpu/count", "system/ram/total (GB)", "system/disk/total (GB)", "system/gpu/count",
    "system/vram/total (GB)",
)  # fmt: skip
_SMI_PACE = 20  # nvidia-smi takes half a second: one look in so many asks it

Figures = dict[str, float]


class Monitor:
    """A thread that looks at the machine and logs the means, until `end`. It does not keep a process alive."""

    def __init__(
        self,
        log: Callable[..., None],
        interval_s: float,
        samples: int,
        disks: Mapping[str, str],
    ) -> None:
        for name in disks:
            if name != os.path.normpath(name) or ".." in name or os.path.isabs(name):
                raise ValueError(f"`{name}` cannot name a disk: it becomes part of a metric's name")
        self._log = log
        self._interval_s = _within(interval_s, 0.001, 0.1, "interval")
        self._samples = int(_within(samples, 1, 30, "num_samples"))
        self._disks = dict(disks)
        self._cpu = _Cpu()
        self._gpu = _gpu()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, name="nbexp-live-system", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Log what was seen last, and stop."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _go(self) -> None:
        while not self._stop.is_set():
            sums: Figures = {}
            counts: dict[str, int] = {}
            for _ in range(self._samples):
                for name, value in self._look().items():
                    sums[name] = sums.get(name, 0) + value
                    counts[name] = counts.get(name, 0) + 1
                if self._stop.wait(self._interval_s):
                    break
            for name, total in sums.items():
                self._log(
                    name,
                    total / counts[name],
                    timestamp=True,
                    plot=not name.startswith(_TOTALS),
                )

    def _look(self) -> Figures:
        found = {**self._gpu(), **self._cpu.look(), **_memory()}
        for name, path in list(self._disks.items()):
            try:
                disk = shutil.disk_usage(path)
            except OSError:
                from nbexp.live.around import warn

                warn(f"There is no `{path}`, so its disk is not looked at.")
                del self._disks[name]
                continue
            # As `df` has it: what is kept for root does not count as free, nor as used.
            found[f"system/disk/usage (%)/{name}"] = (
                100 * disk.used / ((disk.used + disk.free) or 1)
            )
            found[f"system/disk/usage (GB)/{name}"] = disk.used / _GB
            found[f"system/disk/total (GB)/{name}"] = disk.total / _GB
        return found


class _Cpu:
    """How busy each core was since the last look."""

    def __init__(self) -> None:
        self._before = dict(_times())

    def look(self) -> Figures:
        now = dict(_times())
        if not now:
            return _cpu_by_psutil()
        shares = []
        for core, (busy, total) in now.items():
            was_busy, was_total = self._before.get(core, (0, 0))
            spent = total - was_total
            shares.append(min(100.0, 100 * (busy - was_busy) / spent) if spent > 0 else 0.0)
        self._before = now
        return _cpu(shares)


def _cpu(shares: list[float]) -> Figures:
    active = sum(share >= _IS_ACTIVE for share in shares)
    return {
        "system/cpu/count": len(shares),
        "system/cpu/usage (%)": sum(shares) / len(shares),
        "system/cpu/parallelization (%)": 100 * active / len(shares),
    }


def _times() -> Iterator[tuple[str, tuple[int, int]]]:
    """Of each core, how long it was busy, and how long there was: proc(5), in ticks."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, rest = line.partition(" ")
        if name.startswith("cpu") and name != "cpu":
            # user nice system idle iowait irq softirq steal; what guests use is part of user.
            ticks = [int(word) for word in rest.split()[:8]]
            yield name, (sum(ticks) - ticks[3] - ticks[4], sum(ticks))


def _cpu_by_psutil() -> Figures:
    psutil = _psutil()
    return _cpu(psutil.cpu_percent(percpu=True)) if psutil is not None else {}


def _memory() -> Figures:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        psutil = _psutil()
        if psutil is None:
            return {}
        found = psutil.virtual_memory()
        return _ram(found.total, found.total - found.available, found.used)
    known = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    total = known["MemTotal"]
    available = known.get("MemAvailable", known["MemFree"])
    return _ram(total, total - available, total - available)


def _ram(total: float, taken: float, used: float) -> Figures:
    return {
        "system/ram/usage (%)": 100 * taken / total,
        "system/ram/usage (GB)": used / _GB,
        "system/ram/total (GB)": total / _GB,
    }


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


# ---- GPUs


def _gpu() -> Callable[[], Figures]:
    """How GPUs are looked at here; nothing where there are none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001  # no such module, no driver, no device: there is no GPU to be seen
        return _Smi().look if shutil.which("nvidia-smi") else dict
    return lambda: _by_pynvml(pynvml)


def _by_pynvml(nvml: Any) -> Figures:
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
        seen = [(nvml.nvmlDeviceGetUtilizationRates(one), nvml.nvmlDeviceGetMemoryInfo(one)) for one in handles]  # fmt: skip
    except nvml.NVMLError:
        return {}
    return _gpus([(rates.gpu, memory.used, memory.total) for rates, memory in seen])


class _Smi:
    """By the driver's own program, which is slow to start: its last answer stands for some looks."""

    def __init__(self) -> None:
        self._looks = 0
        self._last: Figures = {}

    def look(self) -> Figures:
        if self._looks % _SMI_PACE == 0:
            self._last = self._ask()
        self._looks += 1
        return self._last

    def _ask(self) -> Figures:
        fields = "utilization.gpu,memory.used,memory.total"
        try:
            ran = subprocess.run(
                ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
                check=True,
                capture_output=True,
                encoding="utf-8",
                timeout=10,
            )
            rows = [line.split(",") for line in ran.stdout.splitlines() if line.strip()]
            mib = 1024.0**2
            return _gpus([(float(u), float(m) * mib, float(t) * mib) for u, m, t in rows])
        except (OSError, subprocess.SubprocessError, ValueError):
            return {}


def _gpus(seen: list[tuple[float, float, float]]) -> Figures:
    found: Figures = {"system/gpu/count": len(seen)}
    for number, (usage, used, total) in enumerate(seen):
        found[f"system/gpu/usage (%)/{number}"] = usage
        found[f"system/vram/usage (%)/{number}"] = 100 * used / (total or 1)
        found[f"system/vram/usage (GB)/{number}"] = used / _GB
        found[f"system/vram/total (GB)/{number}"] = total / _GB
    return found


def _within(value: float, low: float, high: float, name: str) -> float:
    kept = min(max(value, low), high)
    if kept != value:
        from nbexp.live.around import warn

        warn(f"`{name}` is {value}; {low} to {high} is possible, and {kept} is taken.")
    return kept
