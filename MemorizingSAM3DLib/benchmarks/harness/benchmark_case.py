"""Who is measured against whom: jobs, contenders, groups that are taken in turn, and the parts of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from MemorizingSAM3DLib.engine.errors import EngineError


class UnavailableError(EngineError):
    """A contender cannot be measured on this computer: it is reported, and is no failure."""


@dataclass(frozen=True)
class Setting:
    """What all contenders of a run share.

    Attributes:
        device: PyTorch's: ``cpu``, ``cuda`` or ``cuda:0``. threads: of PyTorch and ITK on the CPU.
        model: a registered model or a file; None: the shipped one.
    """

    device: str = "cpu"
    threads: int = 1
    model: str | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether times need a synchronised device."""
        return self.device.startswith("cuda")


@dataclass
class Job:
    """What one contender repeats, in its own process.

    Attributes:
        run: what is timed. It returns anything, or, with ``laps``, milliseconds by name that it has measured itself.
        prepare: called before each run, not timed. With one, a run is one call, however short.
        counts: asked after a run; False: it was not what is to be measured, and is repeated.
        laps: whether ``run`` measures by itself.
        warm: whether making it has warmed it up: it takes long, and runs in the turns that count alone.
        facts: JSON-ready, of what is computed: ``operations`` and ``bytes`` give the row a floor, a ``note`` is shown.
    """

    run: Callable[[], Any]
    prepare: Callable[[], Any] | None = None
    counts: Callable[[], bool] | None = None
    laps: bool = False
    warm: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchmarkCase:
    """One line of a table. It can be pickled: its job is made in a process of its own.

    Args:
        name: unique in its group.
        make: a function of a module: ``make(setting, **options)`` gives the job, or raises UnavailableError.
        x: how many clicks, voxels or cases; the group is drawn as curves then.
        fresh: every repeat has a process of its own, which is not warmed up.
        light: needs no PyTorch before its job is made.
    """

    name: str
    make: Callable[..., Job]
    options: Mapping[str, Any] = field(default_factory=dict)
    x: float | None = None
    fresh: bool = False
    light: bool = False


@dataclass(frozen=True)
class Wanted:
    """A target: at most so many milliseconds, at least so many times the reference's time, at most so many bytes."""

    most_ms: float | None = None
    least_ratio: float | None = None
    most_bytes_beyond_torch: float | None = None
    most_gpu_bytes: float | None = None


@dataclass(frozen=True)
class Group:
    """Contenders that are measured in turn.

    Args:
        reference: the contender whose time is 1 in the column of ratios; None: nothing is compared.
        wanted: targets by the names of rows (a contender's, or ``benchmark_case: lap``).
        x_title: of the curves' axis. remark: for the reader of the table.
        most_repeats: where one repeat takes long.
    """

    title: str
    benchmark_cases: Sequence[BenchmarkCase]
    reference: str | None = None
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    x_title: str | None = None
    remark: str = ""
    most_repeats: int | None = None

    def repeats(self, asked: int) -> int:
        """How many timed repeats each contender has."""
        return min(asked, self.most_repeats or asked)

    def turns(self, asked: int) -> int:
        """How often :func:`.process.measure_group` reports progress."""
        return sum(self.repeats(asked) + (0 if benchmark_case.fresh else 2) for benchmark_case in self.benchmark_cases)


@dataclass(frozen=True)
class Part:
    """One subcommand of the benchmark: ``name`` is for files."""

    name: str
    title: str
    groups: Sequence[Group]

    def turns(self, asked: int) -> int:
        """How often progress is reported."""
        return sum(group.turns(asked) for group in self.groups)
