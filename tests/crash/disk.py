"""Power cut: what a disk holds when all that nobody waited for is lost.

`cut` strikes the store at each call that changes something, then shuts the file system down under it without flushing
its log, and mounts it again. `replay` records the block writes of a whole life of a store and shows a file system what
the disk could have held at any moment between two flushes."""
import collections
import fcntl
import os
import random
import struct
import subprocess
import time

from process import Rig
from store import LAND2, LAND3, NOTHING, STEPS, Broken, Step, state

MAKE = {'ext4': ('32M', ['mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=4']),
        'xfs': ('300M', ['mkfs.xfs', '-q', '-f'])}
CHECK = {'ext4': ['e2fsck', '-fn'], 'xfs': ['xfs_repair', '-n', '-f']}
OPTIONS = {'ext4': 'loop', 'xfs': 'loop,nouuid'}  # copies of one image have one uuid
FS_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, struct.pack('I', 2)  # linux/fs/xfs/libxfs/xfs_fs.h, fs/ext4/ext4.h


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors='replace')
    if done.returncode != 0:
        raise Broken(f"{' '.join(command[:3])}: {(done.stdout + done.stderr).strip()[-300:]}")


def copy_image(source, target):
    run('cp', '--sparse=always', source, target)


def mount(filesystem, image, place):
    os.makedirs(place, exist_ok=True)
    run('mount', '-t', filesystem, '-o', OPTIONS[filesystem], image, place)


def unmount(place):
    """A child of another thread may hold a file for the moment between its fork and its exec."""
    for _ in range(100):
        if subprocess.run(['umount', place], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.05)
    run('umount', place)


def image_make(bench, filesystem, image, step, place):
    """A fresh file system with a store that was led to a step's beginning, all of it on the disk."""
    size, command = MAKE[filesystem]
    run('truncate', '-s', size, image)
    run(*command, image)
    mount(filesystem, image, place)
    bench.begin(os.path.join(place, 'k'), step)
    unmount(place)


def shut_down(place):
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.ioctl(fd, FS_IOC_SHUTDOWN, NOLOGFLUSH)
    os.close(fd)


class Cut(Rig):
    """Each point gets a disk of its own. A neighbour's fsync just before the cut makes the journal write what it has,
    which is when names can come to be on the disk before what they name."""

    def __init__(self, bench, step, place, filesystem):
        self.bench, self.step, self.place, self.filesystem = bench, step, place, filesystem
        self.base = os.path.join(place, 'base.img')
        os.makedirs(place)
        image_make(bench, filesystem, self.base, step, os.path.join(place, 'base'))

    def disk(self, name):
        image, place = os.path.join(self.place, name + '.img'), os.path.join(self.place, name)
        copy_image(self.base, image)
        mount(self.filesystem, image, place)
        return image, place

    def all(self):
        image, place = self.disk('count')
        calls = self.bench.count(os.path.join(place, 'k'), self.step, 'cut')
        unmount(place)
        os.remove(image)
        # the last one of each is never reached: the cut after a run that ended
        return [(f'{process}:{n}', noisy) for process, count in enumerate(calls)
                for n in range(1, count + 2 if count or process == 0 else 1) for noisy in (False, True)]

    def one(self, where, noisy):
        image, place = self.disk(f'{where}-{noisy}')
        root = os.path.join(place, 'k')
        try:
            status, struck, said = self.bench.strike(root, self.step, 'cut', where)
            if noisy:
                with open(os.path.join(place, 'neighbour'), 'w') as file:
                    file.write('noise')
                    file.flush()
                    os.fsync(file.fileno())
            shut_down(place)
            unmount(place)
            self.judge_disk(image, place, root, status, said)
        except Broken as fault:
            subprocess.run(['umount', place], stderr=subprocess.DEVNULL, check=False)
            when = f'cut at change {where}, {struck}' if status == 99 else 'cut after it had ended'
            raise Broken(f"{when}{', with a neighbour' if noisy else ''}: {fault}") from None
        finally:
            os.remove(image)
        return where

    def judge_disk(self, image, place, root, status, said):
        mount(self.filesystem, image, place)
        now = self.bench.judge(root, self.step)
        if status != 99 and said and not said.startswith(('written=', 'removed=', 'adopted=')):
            raise Broken(f'it failed without being struck: {said}')
        if status != 99:
            self.bench.judge_success(root, self.step, now)
        self.bench.again(root, self.step)
        unmount(place)


# A life in one recording: each step begins where the one before it ended.
LIFE = (
    STEPS[0],
    Step('upgrade', (), LAND2, state('1.0', '1.0'), state('2.0', '1.0', '2.0')),
    Step('rollback', (), ('activate', '1.0'), state('2.0', '1.0', '2.0'), state('1.0', '1.0', '2.0')),
    Step('other', (), LAND3, state('1.0', '1.0', '2.0'), state('3.0', '1.0', '2.0', '3.0')),
    Step('prune', (), ('prune', '0'), state('3.0', '1.0', '2.0', '3.0'), state('3.0', '1.0', '3.0')),
    Step('uninstall', (), ('uninstall',), state('3.0', '1.0', '3.0'), NOTHING),
)

LOG_MAGIC, SECTOR = 0x6A736677736872, 512
# What a disk is taken to write whole. xfs asks for sectors. ext4's superblock is two of them under one checksum: half
# of it ("invalid superblock checksum") is an end that no order of a program's writes can avert.
ATOM = {'ext4': 4096, 'xfs': 512}
FLUSH, FUA, DISCARD = 1, 2, 4
Write = collections.namedtuple('Write', 'place at size flags bytes')


def log_read(path):
    """The format of the kernel's dm-log-writes: Documentation/admin-guide/device-mapper/log-writes.rst."""
    with open(path, 'rb') as file:
        log = file.read()
    magic, version, _, sector = struct.unpack_from('<QQQI', log, 0)
    if magic != LOG_MAGIC or version != 1 or sector != SECTOR:
        raise Broken(f'{path} is no log of writes')
    writes, place = [], sector
    while place + 32 <= len(log):
        at, count, flags, _ = struct.unpack_from('<QQQQ', log, place)
        if (at, count, flags) == (0, 0, 0):
            break
        start, size = place, count * sector
        place += sector
        data = b''
        if not flags & DISCARD:
            data = log[place:place + size]
            place += size
        writes.append(Write(start, at * sector, size, flags, data))
    return writes


def write_apply(fd, write, atom=0, keeps=None):
    """Puts a write on a disk; `keeps` says of each atom whether it arrived."""
    data = bytes(write.size) if write.flags & DISCARD else write.bytes
    if keeps is None:
        os.pwrite(fd, data, write.at)
        return
    start = 0
    while start < write.size:
        size = atom - (write.at + start) % atom
        if keeps():
            os.pwrite(fd, data[start:start + size], write.at + start)
        start += size


class Recording:
    """A disk whose writes are logged, served by qemu-storage-daemon as a file that a loop device takes."""

    def __init__(self, folder, image):
        self.log, self.disk = os.path.join(folder, 'log'), os.path.join(folder, 'disk')
        for path in (self.log, self.disk):
            with open(path, 'wb'):
                pass
        self.server = subprocess.Popen([
            'qemu-storage-daemon',
            '--blockdev', f'driver=file,node-name=f,filename={image}',
            '--blockdev', f'driver=file,node-name=l,filename={self.log}',
            '--blockdev', 'driver=blklogwrites,node-name=b,file=f,log=l,log-sector-size=512',
            '--export', f'fuse,id=e,node-name=b,mountpoint={self.disk},writable=on'])
        for _ in range(400):
            with open('/proc/self/mounts') as mounts:
                if f' {self.disk} fuse' in mounts.read():
                    return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        self.close()
        raise Broken('qemu-storage-daemon serves no disk: is FUSE there?')

    def size(self):
        return os.stat(self.log).st_size

    def close(self):
        self.server.terminate()
        self.server.wait()


def record(bench, filesystem, folder):
    """Returns the disk before, the log, and how long the log was when each step had ended."""
    base, image, place = (os.path.join(folder, name) for name in ('base.img', 'run.img', 'm'))
    image_make(bench, filesystem, base, LIFE[0], place)
    copy_image(base, image)
    recording, ends, root = Recording(folder, image), [], os.path.join(place, 'k')
    try:
        mount(filesystem, recording.disk, place)
        try:
            for step in LIFE:
                done = subprocess.run(bench.command(root, step.call), env=bench.suspect(), capture_output=True,
                                      text=True)
                if done.returncode != 0:
                    raise Broken(f'{step.name}: {done.stdout}{done.stderr}')
                ends.append(recording.size())
                with open(os.path.join(place, 'neighbour'), 'w') as file:
                    file.write(step.name)
                    file.flush()
                    os.fsync(file.fileno())
        finally:
            subprocess.run(['cp', '--sparse=always', recording.log, recording.log + '.cut'], check=True)
            unmount(place)
    finally:
        recording.close()
    return base, recording.log + '.cut', ends


class Replay:
    """The states: the disk after each write in its order; and, at each flush, random subsets of what was written since
    the one before, some of it torn."""

    def __init__(self, bench, filesystem, folder, subsets, seed):
        os.makedirs(folder)
        self.bench, self.filesystem, self.folder, self.subsets = bench, filesystem, folder, subsets
        self.random = random.Random(seed)
        self.base, log, self.ends = record(bench, filesystem, folder)
        self.writes = log_read(log)

    def step_of(self, log_place):
        """The step that was at work, or had just ended, when the log was this long."""
        ended = sum(end <= log_place for end in self.ends)
        if ended == len(LIFE):
            return Step('the end', (), LIFE[-1].call, NOTHING, NOTHING)
        return LIFE[ended]

    def show(self, image, what, step):
        """Lets the judge look at one disk, and installs on it."""
        place = image + '.m'
        root = os.path.join(place, 'k')
        try:
            mount(self.filesystem, image, place)
            try:
                self.bench.judge(root, step)
                if step.new == NOTHING:
                    self.bench.finish(root, step)
                # whatever it was: an installation from here ends well
                self.bench.must(root, LAND3)
                self.bench.must(root, ('verify',))
                self.bench.compare(root, '3.0')
            finally:
                unmount(place)
            run(*CHECK[self.filesystem], image)
        except Broken as fault:
            raise Broken(f'{what}, during {step.name}: {fault}') from None
        finally:
            os.remove(image)

    def subset(self, pending, fd):
        share = self.random.choice((0.2, 0.5, 0.8))
        for write in pending:
            luck = self.random.random()
            if luck < share or write.flags & FUA:
                write_apply(fd, write)
            elif luck < share + 0.1:
                write_apply(fd, write, ATOM[self.filesystem], lambda: self.random.random() < 0.5)

    def disks(self):
        """Each state as an image of its own, with what it is and the step that was at work."""
        flushed, pending, count = os.path.join(self.folder, 'flushed.img'), [], 0
        copy_image(self.base, flushed)

        def disk(apply):
            nonlocal count
            count += 1
            image = os.path.join(self.folder, f'{count}.img')
            copy_image(flushed, image)
            fd = os.open(image, os.O_RDWR)
            apply(fd)
            os.close(fd)
            return image

        def whole(fd):
            for write in pending:
                write_apply(fd, write)

        for i, write in enumerate(self.writes):
            step = self.step_of(write.place)
            if write.size:
                pending.append(write)
                yield disk(whole), f'after write {i}', step
            if write.flags & FLUSH and pending:
                for k in range(self.subsets if len(pending) > 1 else 0):
                    yield disk(lambda fd: self.subset(pending, fd)), f'subset {k} before flush {i}', step
                fd = os.open(flushed, os.O_RDWR)
                whole(fd)
                os.close(fd)
                pending = []
