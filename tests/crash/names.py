"""The rig itself: that a call has one name, whatever happens beside it, and that what was not struck is reported."""
import copy
import os

from instants import Rig
from store import NOTHING, Broken, Step

RUNS = 20


class Sample(Rig):
    """Kills a program of which it is known what it does (sample.c)."""

    def __init__(self, bench, verb, place, noise=()):
        sample = copy.copy(bench)
        sample.driver, sample.noise = bench.sample, (*bench.noise, *noise)
        super().__init__(sample, Step(verb, (), ((verb,),), NOTHING, NOTHING), place)

    def ways(self, flags):
        return [('kill',)]

    def one(self, way, name):
        root = self.fresh()
        status, _ = self.strike(root, *way, name)
        self.discard(root)
        return status == 99

    def strike_all(self):
        for batch in self.batches():
            for strike in batch:
                self.attempt(*strike)
        return self.verdict()


def must(is_right, said):
    if not is_right:
        raise Broken(said)


def steady(rig, names, one_of=()):
    """Every run shows the same calls, these among them, each of `one_of` once; and each is struck."""
    first = set(rig.flags)
    for _ in range(RUNS):
        rig.record()
    must(set(rig.flags) == first, f'another run shows {sorted(set(rig.flags) - first)} too')
    must(names <= first, f'no run shows {sorted(names - first)}')
    for call in one_of:
        found = [name for name in first if name.startswith(call)]
        must(len(found) == 1, f'{call} has {len(found)} names: {found}')
    faults, notes = rig.strike_all()
    must(not faults and not notes, f'{faults} {notes}')


def restart(bench, place):
    steady(Sample(bench, 'restart', place), {'main.2 write pipe #1'}, ('main read pipe',))


def retry(bench, place):
    steady(Sample(bench, 'retry', place), {'main.1 write pipe #1'}, ('main read pipe',))


def processes(bench, place):
    program = os.path.basename(bench.sample)[:15]  # as the kernel cuts it
    steady(Sample(bench, 'processes', place),
           {*(f'main.{i} openat root/child-{i} #1' for i in range(1, 9)),
            *(f'main.{i}.1 openat root/grandchild-{i} #1' for i in range(1, 9)),
            f'main.9:{program} openat root/by-vfork #1', f'main.10:{program} openat root/by-spawn #1',
            'main+1 openat root/thread #1'})


def once(bench, place):
    faults, _ = Sample(bench, 'once', place).strike_all()
    must(any('main mkdirat root/once #1' in fault for fault in faults), f'a missed change is not reported: {faults}')


def once_read(bench, place):
    faults, notes = Sample(bench, 'once-read', place).strike_all()
    must(not faults, f'{faults}')
    must(len(notes) == 1 and 'main openat root/once #1' in notes[0], f'what was missed is not reported: {notes}')


def random(bench, place):
    faults, _ = Sample(bench, 'random', place).strike_all()
    must(any('root/made-' in fault for fault in faults), f'a name that changes is not reported: {faults}')


def noise(bench, place):
    faults, notes = Sample(bench, 'random', place, [('/made-[0-9a-f]+', '/made')]).strike_all()
    must(not faults and not notes, f'{faults} {notes}')


def crowd(bench, place):
    steady(Sample(bench, 'crowd', place), {'main newfstatat /proc/PID/exe #1'}, ('main newfstatat /proc',))


ALL = {
    'interrupted and made again by the kernel': restart,
    'interrupted and made again by the program': retry,
    'processes and threads': processes,
    'a change made once and missed': once,
    'a look made once and missed': once_read,
    'a path that is another each time': random,
    'a path that is another each time, named as noise': noise,
    'as many calls as there are processes': crowd,
}
