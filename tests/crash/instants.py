"""The instants of a step: every system call that any run of it shows, by its name. Each is struck in each way that it
can be; which were not is reported, and fails the row unless the call is proven to be absent and changes nothing."""
import collections
import itertools
import os
import shutil
import threading

from store import Unfit, copy_tree, picture

RECORDINGS = 2
GROWTH = 2  # how many times the calls of the recordings all runs may show
# How often a strike is tried whose call did not come. What changes the disk is not given up soon.
TRIES, TRIES_CHANGING = 5, 20
ABSENT_MAX = 0.02  # the share of strikes that may miss a call that changes nothing and did not come again

Verdict = collections.namedtuple('Verdict', 'faults notes')


class Rig:
    """Each strike gets a root of its own, alone in its folder, copied from one that was led to the step's beginning.

    A rig says which ways there are to strike an instant (`ways`), and strikes it (`one`)."""

    def __init__(self, bench, step, place):
        self.bench, self.step, self.place = bench, step, place
        self.flags = {}      # name -> flags, as kt-crash-at writes them: every call that a run has shown
        self.struck = set()  # (way, name) that were handed out
        self.missed = []     # (way, name) whose call did not come
        self.pictures = set()
        self.numbers, self.lock = itertools.count(), threading.Lock()
        self.known = os.path.join(place, 'known')
        os.makedirs(place)
        self.base_make()
        self.learn([])
        for _ in range(RECORDINGS):
            self.record()

    def base_make(self):
        self.base = os.path.join(self.place, 'base')
        os.mkdir(self.base)
        self.bench.begin(os.path.join(self.base, 'k'), self.step)

    def fresh(self):
        place = os.path.join(self.place, str(next(self.numbers)))
        copy_tree(self.base, place)
        return os.path.join(place, 'k')

    def discard(self, root):
        shutil.rmtree(os.path.dirname(root), ignore_errors=True)

    def learn(self, news):
        """Calls that a run has shown and that no run before it did."""
        with self.lock:
            if not news and self.flags:
                return
            for flags, name in news:
                self.flags.setdefault(name, flags)
            with open(self.known + '.next', 'w', encoding='utf-8') as file:
                file.writelines(name + '\n' for name in self.flags)
            os.rename(self.known + '.next', self.known)

    def strike(self, root, *how):
        """Returns the status of kt-crash-at and what was said. What it met on its way is learned."""
        status, said, news = self.bench.strike(root, self.step, self.known, self.new(), *how)
        self.learn(news)
        return status, said

    def new(self):
        return os.path.join(self.place, f'new-{next(self.numbers)}')

    def record(self, known=None):
        """An honest run. Returns the names of its calls that are not in a file."""
        root = self.fresh()
        status, said, news = self.bench.strike(root, self.step, known or self.known, self.new(), 'record')
        self.discard(root)
        if status != 0:
            raise Unfit(f'{self.step.name} fails without being struck: {said}')
        self.learn(news)
        return {name for _, name in news}

    def ways(self, flags):
        """How a call with these flags can be struck, each a tuple."""
        raise NotImplementedError

    def one(self, way, name):
        """Strikes once and judges. False: the call did not come."""
        raise NotImplementedError

    def count(self, _):
        """How many instants a strike is."""
        return 1

    def batches(self):
        """All strikes; then those of the calls that their runs were the first to show. What changes the disk first."""
        most = GROWTH * len(self.flags)
        while len(self.flags) <= most:
            strikes = self.strikes()
            if not strikes:
                return
            self.struck.update(strikes)
            yield strikes
        self.missed += self.strikes()  # each run shows others: their names have something of the run in them

    def strikes(self):
        """Those that were not handed out yet."""
        return [(way, name) for name, flags in sorted(self.flags.items(), key=lambda row: 'c' not in row[1])
                for way in self.ways(flags) if (way, name) not in self.struck]

    def is_new(self, root, *more):
        """Has no tree like this been judged yet? For the judge they are one."""
        seen = picture(root)
        with self.lock:
            if seen and (seen, more) in self.pictures:
                return False
            self.pictures.add((seen, more))
            return True

    def attempt(self, way, name):
        """Strikes until it is met."""
        for _ in range(TRIES_CHANGING if self.is_changing(name) else TRIES):
            if self.one(way, name):
                return True
        with self.lock:
            self.missed.append((way, name))
        return False

    def is_changing(self, name):
        return 'c' in self.flags.get(name, '')

    def verdict(self):
        """What was not struck: faults, and notes. A call that is made must be struck. One that came in some run and in
        no other may be missed where it changes nothing: it is named, and there may be few of them."""
        if not self.missed:
            return Verdict([], [])
        shown, nothing = set(), os.path.join(self.place, 'nothing')
        with open(nothing, 'w', encoding='utf-8'):
            pass
        for _ in range(RECORDINGS):
            shown |= self.record(nothing)
        faults, notes = [], []
        for way, name in self.missed:
            if name in shown:
                faults.append(f'not struck, though it is made ({way_name(way)}): {name}')
            elif self.is_changing(name):
                faults.append(f'not struck, it came once and no more ({way_name(way)}): {name}')
            else:
                notes.append(f'not struck, it came once and no more ({way_name(way)}): {name}')
        if len(notes) > ABSENT_MAX * len(self.struck):
            faults.append(f'{len(notes)} of {len(self.struck)} strikes did not meet their call')
        return Verdict(faults, notes)


def way_name(way):
    return ' '.join(str(word) for word in way)
