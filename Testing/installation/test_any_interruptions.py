"""Whatever interrupts an installation, and however often: the next try goes on, and Slicer's own stays as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.installation.condition import SLICERS_OWN, examine
from MemorizingSAM3DLib.installation.installation import Installation, Result
from MemorizingSAM3DLib.installation.plan import make_plan
from Testing.installation.fake_world import SLICER, FakeInstaller, FakeMachine, failing

PACKAGES = ("safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel", "torch")

interruptions = st.one_of(
    st.tuples(st.just("stop"), st.integers(0, 6)),
    st.tuples(st.just("fail"), st.sampled_from(PACKAGES)),
    st.tuples(st.just("break"), st.sampled_from(PACKAGES)),
    st.tuples(st.just("load"), st.sampled_from(PACKAGES)),
    st.tuples(st.just("age"), st.sampled_from(PACKAGES)),
    st.tuples(st.just("unplug"), st.just("")),
    st.tuples(st.just("decline"), st.just("")),
)


def attempt(machine, installer, stop_after=None):
    reported = []
    plan = make_plan(machine, installer)
    return Installation(machine, installer, plan).run(
        lambda number, step: reported.append(step.name), lambda: len(reported) == stop_after
    )


def interrupt(machine, kind, what):
    """One try, in which something goes wrong, or went wrong before; then Slicer is started again."""
    installer = FakeInstaller(machine)
    if kind == "fail":
        installer.before = failing(what, "pip ended with 1")
    elif kind == "break":
        installer.breaks.add(what)
    elif kind == "load":
        machine.loaded.add(what)
    elif kind == "age":
        machine.versions[what] = "0.1"
    installer.declines = kind == "decline"
    machine.online = kind != "unplug"
    attempt(machine, installer, what if kind == "stop" else None)
    machine.online = True
    machine.loaded.clear()
    return installer.done


@given(st.lists(interruptions, max_size=6))
def test_the_last_undisturbed_try_completes_it(events):
    machine = FakeMachine()
    done = [name for kind, what in events for name in interrupt(machine, kind, what)]
    installer = FakeInstaller(machine)

    assert attempt(machine, installer).result is Result.DONE
    assert all(state.is_ready for state in examine(machine))
    assert attempt(machine, FakeInstaller(machine)).installed == ()
    assert not SLICERS_OWN & {name.split()[-1] for name in (*done, *installer.done)}
    assert {name: machine.version(name) for name in SLICER} == SLICER
