"""Processes struck: killed at every system call, and each call made to fail or to do half."""
import errno
import os
import shutil

from store import Broken, copy_tree

FAULTS = (('fail', errno.EIO), ('fail', errno.ENOSPC), ('fail', errno.EINTR), ('short', 0), ('bereave', 0))
SYNCS = ('fsync', 'fdatasync', 'syncfs')


class Rig:
    """Each point gets a root of its own, copied from one that was led to the step's beginning."""

    def __init__(self, bench, step, place):
        self.bench, self.step, self.place = bench, step, place
        self.base = os.path.join(place, 'base')
        os.makedirs(place)
        bench.begin(self.base, step)

    def fresh(self, name):
        root = os.path.join(self.place, name)
        copy_tree(self.base, root)
        return root

    def points(self, *how):
        root = self.fresh('count')
        total = self.bench.count(root, self.step, *how)
        shutil.rmtree(root, ignore_errors=True)
        return total


class Kill(Rig):
    def all(self):
        # two processes' calls mix otherwise each time: some more are tried, until none is reached
        return [(n,) for n in range(1, self.points('kill') + 8)]

    def one(self, n):
        """False: not reached. Else what was struck."""
        root = self.fresh(f'kill-{n}')
        status, struck, _ = self.bench.strike(root, self.step, 'kill', str(n))
        try:
            self.bench.judge(root, self.step)
            if status == 99:
                self.bench.again(root, self.step)
        except Broken as fault:
            raise Broken(f'killed at call {n}, {struck}: {fault}') from None
        shutil.rmtree(root, ignore_errors=True)
        return struck if status == 99 else False


class Fault(Rig):
    def all(self):
        found = []
        for way, error in FAULTS:
            how = (way, str(error)) if error else (way,)
            total = self.points(*how)
            found += [(way, error, n) for n in range(1, total + 4 if total else 1)]
        return found

    def one(self, way, error, n):
        root = self.fresh(f'{way}-{error}-{n}')
        how = (way, str(n)) + ((str(error),) if error else ())
        status, struck, said = self.bench.strike(root, self.step, *how)
        name = errno.errorcode.get(error, way)
        try:
            now = self.bench.judge(root, self.step)
            if status == 0:
                self.bench.judge_success(root, self.step, now)
            if status == 0 and struck in SYNCS and error in (errno.EIO, errno.ENOSPC):
                raise Broken('it says that it succeeded, though nothing vouches for the disk')
            if status not in (0, 1, 98):
                raise Broken(f'it ended with {status}: {said}')
            if status == 1 and not said:
                raise Broken('it failed without a word')
            if status != 98:
                self.bench.again(root, self.step)
        except Broken as fault:
            raise Broken(f'{name} at {struck} {n}: {fault}') from None
        shutil.rmtree(root, ignore_errors=True)
        return struck if status != 98 else False
