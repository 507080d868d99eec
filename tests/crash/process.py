"""Processes struck: killed at every system call, and each call made to fail or to do half."""
import errno
import os
import shlex
import shutil

from store import LAND1, LAND2, Broken, copy_tree

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
        """Every call of every process, as kt-crash-at names it. Now and then one makes a call or two more, so that some
        are tried beyond what was counted, where anything can be struck at all."""
        root = self.fresh('count')
        calls = self.bench.count(root, self.step, *how)
        shutil.rmtree(root, ignore_errors=True)
        return [f'{process}:{n}' for process, count in enumerate(calls) for n in range(1, count + 4 if count else 1)]


class Kill(Rig):
    def all(self):
        return [(where,) for where in self.points('kill')]

    def one(self, where):
        """False: not reached. Else what was struck."""
        root = self.fresh(f'kill-{where}')
        status, struck, _ = self.bench.strike(root, self.step, 'kill', where)
        try:
            self.bench.judge(root, self.step)
            if status == 99:
                self.bench.again(root, self.step)
        except Broken as fault:
            raise Broken(f'killed at call {where}, {struck}: {fault}') from None
        shutil.rmtree(root, ignore_errors=True)
        return struck if status == 99 else False


class Fault(Rig):
    def all(self):
        found = []
        for way, error in FAULTS:
            how = (way, str(error)) if error else (way,)
            found += [(way, error, where) for where in self.points(*how)]
        return found

    def one(self, way, error, where):
        root = self.fresh(f'{way}-{error}-{where}')
        how = (way, where) + ((str(error),) if error else ())
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
            raise Broken(f'{name} at {struck} {where}: {fault}') from None
        shutil.rmtree(root, ignore_errors=True)
        return struck if status != 98 else False


# Who comes in between: step -> calls
RIVALS = {
    'install': (LAND1, ('uninstall',)),
    'upgrade': (LAND2, ('activate', '1.0'), ('uninstall',)),
    'rollback': (LAND2,),
    'prune': (LAND1,),
    'adopt': (('adopt',), LAND2),
    'uninstall': (LAND1, ('uninstall',)),
}
# How one that was not first may end
GIVES_WAY = ('Locked', 'NoVersion', 'ForeignInstallation')


class Rival(Rig):
    """Before each call of one installer another one runs from beginning to end."""

    def all(self):
        return [(call, where) for where in self.points('rival') for call in RIVALS.get(self.step.name, ())]

    def one(self, call, where):
        root = self.fresh(f'rival-{call[0]}-{where}')
        log = root + '.rival'
        line = f"{shlex.join(self.bench.command(root, call))} >{log} 2>&1; echo $? >>{log}"
        status, struck, said = self.bench.strike(root, self.step, 'rival', where, line)
        if status == 98:
            shutil.rmtree(root, ignore_errors=True)
            return False
        with open(log) as file:
            *other_said, other_status = file.read().split('\n')[:-1]
        try:
            for name, ended, words in (('it', status, said), ('the other', int(other_status), ' '.join(other_said))):
                if ended != 0 and not any(word in words for word in GIVES_WAY):
                    raise Broken(f'{name} ended with {ended}: {words}')
            if status != 0 and other_status != '0':
                raise Broken(f'neither succeeded: {said}; {other_said}')
            self.bench.judge_any(root)
        except Broken as fault:
            raise Broken(f'{call[0]} before {struck} {where}: {fault}') from None
        shutil.rmtree(root, ignore_errors=True)
        os.remove(log)
        return struck
