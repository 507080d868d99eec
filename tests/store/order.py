#!/usr/bin/env python3
"""order.py TRACE ROOT [without N] | order.py TRACE ROOT syncs

Reads the system calls of a landing (strace -f -y) and says where a crash could show a mixture: at each rename that
gives something its name under ROOT or takes it away, all that was written, made or moved there before must have been
synced. `syncs` prints how many syncs there are; `without N` leaves out the N-th of them, as a program with
a fault would.

What is a .partial-* or .kept-* may be dirty while it is nobody's: its name in ROOT, and what is being removed of it.
The five links are one step: each names `current`, which is moved after them."""
import os
import re
import sys

FOLDER_LINKS = {'bin', 'runtime', 'alpine-lib', 'lib', 'shim'}
WRITES = {'write', 'pwrite64', 'writev', 'pwritev', 'ftruncate', 'fallocate', 'fchmod', 'copy_file_range'}


def calls(path):
    with open(path, errors='replace') as trace:
        for line in trace:
            found = re.match(r'(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)', line)
            if found and not found[3].startswith('-'):
                yield found[1], found[2]


def descriptor(argument):
    found = re.match(r'\s*\d+<([^>]*)>', argument)
    return found[1].removesuffix(' (deleted)') if found else ''


def paths(arguments):
    """Each directory descriptor with the name behind it, as a path."""
    return [os.path.normpath(os.path.join(folder, name))
            for folder, name in re.findall(r'\d+<([^>]*)>, "((?:[^"\\]|\\.)*)"', arguments)]


class Disk:
    def __init__(self, root):
        self.root = root
        self.dirty = {}  # path -> why: a file's content, or a folder's entries
        self.faults = []

    def is_below(self, path):
        return path == self.root or path.startswith(self.root + '/')

    def is_cache(self, path):
        """What is noted of trees: a crash that cuts it costs a second reading and no more."""
        return os.path.dirname(path) == self.root and re.match(r'\.(partial-)?seen-', os.path.basename(path))

    def mark(self, path, why):
        if self.is_below(path) and not self.is_cache(path):
            self.dirty.setdefault(path, []).append(why)

    def is_partial(self, path):
        return os.path.dirname(path) == self.root and os.path.basename(path).startswith(('.partial-', '.kept-'))

    def entry(self, path, why):
        """An entry of a folder changed. A partial's own name in the root matters to nobody."""
        if not self.is_partial(path) and not self.is_cache(path):
            self.mark(os.path.dirname(path), f'{why} {os.path.basename(path)}')

    def harmful(self, step):
        for path, whys in self.dirty.items():
            if os.path.relpath(path, self.root).startswith('.partial-probe'):
                continue
            for why in whys:
                if step in FOLDER_LINKS and why.split()[-1] in FOLDER_LINKS and path == self.root:
                    continue
                yield f'{step}: {os.path.relpath(path, self.root)} is not synced ({why})'

    def rename(self, old, new, is_exchange):
        if self.is_cache(new):
            return
        self.faults += self.harmful(os.path.relpath(old if self.is_partial(new) else new, self.root))
        moved = {}
        for path, whys in self.dirty.items():
            for source, target in [(old, new)] + ([(new, old)] if is_exchange else []):
                if path == source or path.startswith(source + '/'):
                    path = target + path[len(source):]
                    break
            moved[path] = whys
        self.dirty = moved
        if self.is_partial(old) and self.is_partial(new):
            return  # from one name that is nobody's to another
        # a link that replaces another in the root is there or is not; what moves between folders must be in one of them
        self.mark(os.path.dirname(new), f'rename {os.path.basename(new)}')
        if os.path.dirname(old) != os.path.dirname(new):
            self.mark(os.path.dirname(old), f'rename {os.path.basename(new)}')

    def removed(self, path):
        self.dirty = {p: w for p, w in self.dirty.items() if p != path}
        if not os.path.relpath(path, self.root).startswith(('.partial-', '.kept-')):
            self.entry(path, 'unlink')


    def take(self, call, arguments):
        if call in WRITES:
            if descriptor(arguments) != self.root:
                self.mark(descriptor(arguments), call)
        elif call in ('openat', 'openat2') and 'O_CREAT' in arguments:
            for path in paths(arguments)[:1]:
                self.mark(path, 'create')
                self.entry(path, 'create')
        elif call in ('mkdirat', 'symlinkat'):
            for path in paths(arguments)[:1]:
                self.entry(path, call)
        elif call == 'unlinkat' and 'AT_REMOVEDIR' not in arguments:  # an empty folder says nothing
            for path in paths(arguments)[:1]:
                self.removed(path)
        elif call in ('renameat', 'renameat2'):
            old, new = paths(arguments)
            if os.path.relpath(new, self.root).startswith('.partial-probe/'):
                return  # among folders that are there to be tried on, and hold nothing
            self.rename(old, new, 'RENAME_EXCHANGE' in arguments)

    def sync(self, call, arguments):
        if call == 'syncfs':
            self.dirty = {}
        else:
            self.dirty.pop(descriptor(arguments), None)


def main():
    trace, root = sys.argv[1], os.path.realpath(sys.argv[2])
    left_out = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    disk, syncs, renames = Disk(root), 0, 0
    for call, arguments in calls(trace):
        if call in ('fsync', 'fdatasync', 'syncfs') and disk.is_below(descriptor(arguments)):
            syncs += 1
            if syncs != left_out:
                disk.sync(call, arguments)
            continue
        renames += call.startswith('rename')
        disk.take(call, arguments)
    disk.faults += disk.harmful('at the end')
    if len(sys.argv) == 4:
        print(syncs)
        return 0
    for fault in disk.faults[:5]:
        print(fault)
    print(f'{renames} renames, {syncs} syncs, {len(disk.faults)} faults')
    return 1 if disk.faults or renames + syncs == 0 else 0  # a trace of nothing proves nothing


if __name__ == '__main__':
    sys.exit(main())
