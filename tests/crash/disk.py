"""Power cut: what a disk holds when all that nobody waited for is lost.

`cut` takes the store's disk as it is at each call that changes something, and as it is when a neighbour's fsync came
just before. `replay` records the block writes of a whole life of a store and shows a file system what the disk could
have held at any moment between two flushes."""
import collections
import fcntl
import os
import random
import struct
import subprocess
import threading
import time

from instants import TRIES, Rig
from store import BOTH, LAND2, LAND3, NOTHING, STEPS, Broken, Damage, Step, Unfit, picture, state

MAKE = {'ext4': ('32M', ['mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=4']),
        'xfs': ('300M', ['mkfs.xfs', '-q', '-f'])}
CHECK = {'ext4': ['e2fsck', '-fn'], 'xfs': ['xfs_repair', '-n', '-f']}
OPTIONS = {'ext4': 'loop', 'xfs': 'loop,nouuid'}  # copies of one image have one uuid
FS_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, struct.pack('I', 2)  # linux/fs/xfs/libxfs/xfs_fs.h, fs/ext4/ext4.h


def run(*command, failing=Unfit):
    done = subprocess.run(command, capture_output=True, text=True, errors='replace', check=False)
    if done.returncode != 0:
        raise failing(f"{' '.join(command[:3])}: {(done.stdout + done.stderr).strip()[-300:]}")


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
    run('fallocate', '--dig-holes', image)  # xfs writes all of its log: copies need not


def shut_down(place):
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.ioctl(fd, FS_IOC_SHUTDOWN, NOLOGFLUSH)
    os.close(fd)


def make_noise(place):
    with open(os.path.join(place, 'neighbour'), 'w', encoding='utf-8') as file:
        file.write('noise')
        file.flush()
        os.fsync(file.fileno())


def written(place):
    """How much was written to, and discarded on, the disk that is mounted there: Documentation/block/stat.rst."""
    device = os.stat(place).st_dev
    with open(f'/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat', encoding='ascii') as file:
        figures = file.read().split()
    return figures[4], figures[6], figures[11], figures[13]


END = 'the end'  # no call's name: the cut after all of them


class Cut(Rig):
    """Each strike gets a disk of its own.

    Quiet: one run, held before each call that changes something; the disk is copied as it is then, which is what a
    power cut leaves. A disk that was not written to since the call before is the same disk.
    Noisy: killed there; then a neighbour's fsync makes the journal write what it has, which is when names can come to
    be on the disk before what they name; then the file system is shut down without its log."""

    def __init__(self, bench, step, place, filesystem):
        self.filesystem = filesystem
        super().__init__(bench, step, place)

    def base_make(self):
        self.base = os.path.join(self.place, 'base.img')
        image_make(self.bench, self.filesystem, self.base, self.step, os.path.join(self.place, 'base'))

    def fresh(self):
        place = os.path.join(self.place, str(next(self.numbers)))
        copy_image(self.base, place + '.img')
        mount(self.filesystem, place + '.img', place)
        return os.path.join(place, 'k')

    def discard(self, root):
        place = os.path.dirname(root)
        unmount(place)
        os.rmdir(place)
        os.remove(place + '.img')

    def ways(self, flags):
        return [('noisy',)] * ('c' in flags)

    def batches(self):
        self.flags[END] = 'c'
        yield self.snapshots()
        yield from super().batches()

    def snapshots(self):
        """One disk each, with the calls at which it was like that."""
        found, met = [], {END}
        for _ in range(TRIES):
            found += self.watch()
            met = met.union(*(names for _, _, names in found))
            if all(name in met for name in self.flags if self.is_changing(name)):
                break
        self.missed += [(('quiet',), name) for name in self.flags if self.is_changing(name) and name not in met]
        return [(('quiet', image, len(names)), names[0]) for _, image, names in found]

    def watch(self):
        root, found = self.fresh(), []
        place = os.path.dirname(root)
        (ask, asked), (answered, answer) = os.pipe(), os.pipe()
        command = self.bench.strike_command(root, self.step, (), 'watch', str(answered), str(asked))
        with subprocess.Popen(command, env=self.bench.suspect(), pass_fds=(answered, asked), text=True,
                              errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as held:
            os.close(answered)
            os.close(asked)
            with open(ask, encoding='utf-8', errors='replace') as calls:
                for line in calls:
                    self.snapshot(place, found, line.rstrip('\n'))
                    os.write(answer, b'.')
            said = held.stdout.read().strip()
        os.close(answer)
        if held.returncode != 0:
            raise Unfit(f'{self.step.name} fails without being struck: {said}')
        self.snapshot(place, found, END)
        self.discard(root)
        return found

    def snapshot(self, place, found, name):
        now = written(place)
        if not found or found[-1][0] != now or name == END:  # of which more is asked, as it ended with success
            image = os.path.join(self.place, f'quiet-{next(self.numbers)}.img')
            copy_image(place + '.img', image)
            found.append((now, image, []))
        found[-1][2].append(name)

    def count(self, way):
        return way[2] if way[0] == 'quiet' else 1

    def one(self, way, name):
        if way[0] == 'quiet':
            place = way[1].removesuffix('.img')
        else:
            place = self.noisy_cut(name)
        if not place:
            return False
        try:
            mount(self.filesystem, place + '.img', place)
            try:
                self.judge_disk(os.path.join(place, 'k'), name == END)
            finally:
                unmount(place)
        except Broken as fault:
            raise Broken(f'{way[0]} cut at {name}: {fault}') from None
        os.remove(place + '.img')
        os.rmdir(place)
        return True

    def noisy_cut(self, name):
        """Returns where the disk is; nothing when the call did not come."""
        root = self.fresh()
        place, ended = os.path.dirname(root), name == END
        status, said = self.strike(root, 'kill', name)
        if ended and status == 98 and said and not said.startswith(('written=', 'removed=', 'adopted=')):
            raise Broken(f'it failed without being struck: {said}')
        if status != (98 if ended else 99):
            self.discard(root)
            return ''
        make_noise(place)
        shut_down(place)
        unmount(place)
        return place

    def judge_disk(self, root, ended):
        if self.is_new(root, ended):
            now = self.bench.judge(root, self.step)
            if ended:
                self.bench.judge_success(root, self.step, now)
            self.bench.again(root, self.step)


# A life in one recording: each step begins where the one before it ended, and may suffer a damage first.
LIFE = (
    STEPS[0],
    Step('upgrade', (), (LAND2,), state('1.0', '1.0'), BOTH),
    Step('repair', (Damage('lib/deep/er/text', 'lost'),), (LAND2,), BOTH, BOTH),
    Step('rollback', (), (('activate', '1.0'),), BOTH, state('1.0', '1.0', '2.0')),
    Step('other', (), (LAND3,), state('1.0', '1.0', '2.0'), state('3.0', '1.0', '2.0', '3.0')),
    Step('prune', (), (('prune', '0'),), state('3.0', '1.0', '2.0', '3.0'), state('3.0', '1.0', '3.0')),
    Step('uninstall', (), (('uninstall',),), state('3.0', '1.0', '3.0'), NOTHING),
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
        raise Unfit(f'{path} is not a log of writes')
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
            with open('/proc/self/mounts', encoding='utf-8') as mounts:
                if f' {self.disk} fuse' in mounts.read():
                    return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        self.close()
        raise Unfit('qemu-storage-daemon serves no disk: is FUSE there?')

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
                bench.begin(root, step)
                done = subprocess.run(bench.commands(root, step), env=bench.suspect(), capture_output=True,
                                      text=True, errors='replace', check=False)
                if done.returncode != 0:
                    raise Unfit(f'{step.name} fails without being struck: {done.stdout}{done.stderr}')
                ends.append(recording.size())
                make_noise(place)
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
        self.pictures, self.lock = set(), threading.Lock()

    def batches(self):
        yield self.disks()

    def verdict(self):
        return [], []

    def count(self, _):
        return 1

    def step_of(self, log_place):
        """The step that was at work, or had just ended, when the log was this long."""
        ended = sum(end <= log_place for end in self.ends)
        if ended == len(LIFE):
            return Step('the end', (), LIFE[-1].calls, NOTHING, NOTHING)
        return LIFE[ended]

    def is_new(self, root, step):
        """Has no tree like this been judged yet, as a state of this step?"""
        seen = picture(root)
        with self.lock:
            if seen and (seen, step.name) in self.pictures:
                return False
            self.pictures.add((seen, step.name))
            return True

    def attempt(self, image, what, step):
        """Lets the judge look at one disk, and installs on it."""
        place = image + '.m'
        root = os.path.join(place, 'k')
        try:
            mount(self.filesystem, image, place)
            try:
                is_new = self.is_new(root, step)
                if is_new:
                    self.judge_disk(root, step)
            finally:
                unmount(place)
            if is_new:
                run(*CHECK[self.filesystem], image, failing=Broken)
        except Broken as fault:
            raise Broken(f'{what}, during {step.name}: {fault}') from None
        finally:
            os.remove(image)
        return True

    def judge_disk(self, root, step):
        self.bench.judge(root, step)
        if step.new == NOTHING:
            self.bench.finish(root, step)
        # whatever it was: an installation from here ends well
        self.bench.must(root, LAND3)
        self.bench.must(root, ('verify',))
        self.bench.compare(root, '3.0')

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
