"""Processes struck: killed at every system call, and each call made to fail or to do half."""
import errno
import os
import shlex

from instants import Rig, way_name
from store import Broken

SYNCS = ('fsync', 'fdatasync', 'syncfs')


class Kill(Rig):
    """All processes killed before each call; each write to the store killed when half of it is done."""

    def ways(self, flags):
        return [('kill',)] + [('tear',)] * ('c' in flags and 'w' in flags)

    def one(self, way, name):
        root = self.fresh()
        status, said = self.strike(root, *way, name)
        if status == 98:
            self.discard(root)
            return False
        try:
            if status != 99:
                raise Broken(f'it ended with {status}: {said}')
            if self.is_new(root):
                self.bench.judge(root, self.step)
                self.bench.again(root, self.step)
        except Broken as fault:
            raise Broken(f'{way_name(way)} at {name}: {fault}') from None
        self.discard(root)
        return True


class Fault(Rig):
    """Each call fails in each way that its manual page knows, each write does half, each child dies at each call."""

    def ways(self, flags):
        found = [('fail', error) for flag, error in (('e', errno.EIO), ('s', errno.ENOSPC), ('i', errno.EINTR))
                 if flag in flags]
        return found + [(way,) for flag, way in (('w', 'short'), ('b', 'bereave')) if flag in flags]

    def one(self, way, name):
        root = self.fresh()
        status, said = self.strike(root, way[0], name, *map(str, way[1:]))
        if status == 98:
            self.discard(root)
            return False
        try:
            if status == 0 and way in (('fail', errno.EIO), ('fail', errno.ENOSPC)) and name.split(' ')[1] in SYNCS:
                raise Broken('it says that it succeeded, though nothing vouches for the disk')
            if status not in (0, 1):
                raise Broken(f'it ended with {status}: {said}')
            if status == 1 and not said:
                raise Broken('it failed without a word')
            if self.is_new(root, status):
                now = self.bench.judge(root, self.step)
                if status == 0:
                    self.bench.judge_success(root, self.step, now)
                self.bench.again(root, self.step)
        except Broken as fault:
            words = [errno.errorcode[way[1]]] if len(way) > 1 else way
            raise Broken(f'{way_name(words)} at {name}: {fault}') from None
        self.discard(root)
        return True


# How one that was not first may end
GIVES_WAY = ('Locked', 'NoVersion', 'ForeignInstallation')


class Rival(Rig):
    """Before each call of one installer another one runs from beginning to end."""

    def ways(self, flags):
        return self.step.rivals

    def one(self, way, name):
        root = self.fresh()
        log = os.path.dirname(root) + '.rival'
        line = f"{shlex.join(self.bench.command(root, way))} >{log} 2>&1; echo $? >>{log}"
        status, said = self.strike(root, 'rival', name, line)
        if status == 98:
            self.discard(root)
            return False
        with open(log, encoding='utf-8', errors='replace') as file:
            *other_said, other_status = file.read().split('\n')[:-1]
        try:
            for who, ended, words in (('it', status, said), ('the other', int(other_status), ' '.join(other_said))):
                if ended != 0 and not any(word in words for word in GIVES_WAY):
                    raise Broken(f'{who} ended with {ended}: {words}')
            if status != 0 and other_status != '0':
                raise Broken(f'neither succeeded: {said}; {other_said}')
            if self.is_new(root):
                self.bench.judge_any(root, self.step)
        except Broken as fault:
            raise Broken(f'{way_name(way)} before {name}: {fault}') from None
        self.discard(root)
        os.remove(log)
        return True
