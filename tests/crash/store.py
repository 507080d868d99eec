"""What the rigs strike, and what must hold after: bundles, the steps of a store's life, and the judge.

The judge does not believe the store alone: beside its own `inventory` and `verify` it compares what the five links show
with the bundles' files, byte for byte, modes and all."""
import dataclasses
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import threading

FOLDERS = ('bin', 'runtime', 'alpine-lib', 'lib', 'shim')

# What an earlier installer left: real directories and no word of a version
EARLIER_FILES = {'bin': {'km': 'KM earlier', 'krun': '-> km'}, 'lib': {'data': 'lib\n', 'deep/er/text': 'deep\n'}}
LEGACY = 'legacy'  # stands for the version that it becomes, which is named after its digest

# version -> folder -> name -> content; KM is the payload with the text behind it, '-> x' a link to x
BUNDLES = {
    '1.0': {'bin': {'km': 'KM one'}, 'lib': {'data': 'lib\n', 'deep/er/text': 'deep\n', 'short': '-> deep/er'}},
    '2.0': {'bin': {'km': 'KM two'}, 'lib': {'data': 'lib\n', 'deep/er/text': 'deep\n', 'short': '-> deep/er'},
            'tests': {'hello_test.km': 'KM test'}},
    '3.0': {'bin': {'km': 'KM three', 'tool': '#!/bin/sh\n'}, 'alpine-lib': {'lib/x': 'x' * 9000, 'lib/empty': ''}},
}

# What differs from run to run in the store's paths: a POSIX regular expression, and what stands for it in names
NOISE = (('/proc/[0-9]+(/task/[0-9]+)?', '/proc/PID'), ('/proc/PID/fd/[0-9]+', '/proc/PID/fd/N'),
         ('/sys/dev/block/[0-9:]+', '/sys/dev/block/DEVICE'), ('/loop[0-9]+', '/loop'))


# Calls that are an instant only the first time: the walk of /proc is as long as there are processes
UNCOUNTED = ('/proc/PID',)
# The notes of what was read, a cache: what they are called, and what in them differs from run to run, stamps and times
NOTES, STAMPS = '.seen-', re.compile(rb'\b(?!0{16})[0-9a-f]{16}\b|\b[0-9]{10}\b')


def lasting(names):
    """Without notes: a landing that finds its files there leaves them to a verification."""
    return {name for name in names if not name.startswith(NOTES)}


@dataclasses.dataclass(frozen=True)
class State:
    current: str
    sets: frozenset


NOTHING = State('', frozenset())
EARLIER = State('what an earlier installer left', frozenset())


def state(current, *sets):
    return State(current, frozenset(sets))


@dataclasses.dataclass(frozen=True)
class Damage:
    """What a file of the current set suffers: 'grown', 'lost', or 'mode'. The step that follows mends it."""
    path: str  # below the root, through the links
    way: str

    def text(self, whole):
        return whole + b'damage' if self.way == 'grown' else whole

    def mode(self, whole):
        return whole | 0o022 if self.way == 'mode' else whole

    def apply(self, root):
        path = os.path.join(root, self.path)
        if self.way == 'lost':
            os.remove(path)
        elif self.way == 'mode':
            os.chmod(path, self.mode(stat.S_IMODE(os.stat(path).st_mode)))
        else:
            with open(path, 'ab') as file:
                file.write(self.text(b''))


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    before: tuple       # what leads to where it begins: calls, MAKE_EARLIER, at the end a Damage
    calls: tuple        # a verb and its arguments each, '@1.0' is a bundle's folder; one that fails is the last
    old: State
    new: State
    rivals: tuple = ()  # calls of another installer that comes in between

    @property
    def verb(self):
        return self.calls[-1][0]

    @property
    def damage(self):
        return self.before[-1] if self.before and isinstance(self.before[-1], Damage) else None


MAKE_EARLIER = ('make what an earlier installer left',)
LAND1, LAND2, LAND3 = ('land', '@1.0'), ('land', '@2.0'), ('land', '@3.0')
BOTH = state('2.0', '1.0', '2.0')
STEPS = (
    Step('install', (), (LAND1,), NOTHING, state('1.0', '1.0'), (LAND1, ('uninstall',))),
    Step('upgrade', (LAND1,), (LAND2,), state('1.0', '1.0'), BOTH, (LAND2, ('activate', '1.0'), ('uninstall',))),
    Step('upgrade-other-components', (LAND1,), (LAND3,), state('1.0', '1.0'), state('3.0', '1.0', '3.0')),
    Step('repair', (LAND1, LAND2, Damage('bin/km', 'grown')), (LAND2,), BOTH, BOTH),
    Step('repair-tree', (LAND1, LAND2, Damage('lib/deep/er/text', 'lost')), (LAND2,), BOTH, BOTH,
         (('activate', '1.0'),)),
    Step('repair-mode', (LAND1, LAND2, Damage('lib/data', 'mode')), (LAND2,), BOTH, BOTH),
    Step('rollback', (LAND1, LAND2), (('activate', '1.0'),), BOTH, state('1.0', '1.0', '2.0'), (LAND2,)),
    Step('prune', (LAND1, LAND2, LAND3), (('prune', '0'),), state('3.0', '1.0', '2.0', '3.0'),
         state('3.0', '2.0', '3.0'), (LAND1,)),
    Step('retention', (LAND1, LAND2), (LAND3, ('prune', '0')), BOTH, state('3.0', '2.0', '3.0')),
    Step('adopt', (MAKE_EARLIER,), (('adopt',),), EARLIER, state(LEGACY, LEGACY), (('adopt',), LAND2)),
    Step('uninstall', (LAND1, LAND2), (('uninstall',),), BOTH, NOTHING, (LAND1, ('uninstall',))),
)


class Broken(Exception):
    """What the judge found."""


class Unfit(Exception):
    """What keeps the rig from trying: a run that fails though nobody struck it, a disk that cannot be mounted. It does
    not count as a canary's finding."""


def picture(root):
    """All of a tree that a reader sees, as one digest: names, kinds, modes, owners, links, bytes, but for stamps. Trees
    with the same digest need one judgement. None when it cannot be read to the end."""
    digest = hashlib.blake2b()

    def add(*words):
        digest.update(repr(words).encode())

    def visit(path, name):
        info = os.lstat(path)
        add(name, info.st_mode, info.st_uid, info.st_gid)
        if stat.S_ISDIR(info.st_mode):
            for below in sorted(os.listdir(path)):
                visit(os.path.join(path, below), below)
            add('end')
        elif stat.S_ISLNK(info.st_mode):
            add(os.readlink(path))
        elif stat.S_ISREG(info.st_mode):
            with open(path, 'rb') as file:
                add(STAMPS.sub(b'*', file.read()) if NOTES in name else file.read())

    try:
        if os.path.lexists(root):
            visit(root, '')
    except OSError:
        return None
    return digest.digest()


def names_below(root):
    """Every path in a tree, without what differs from run to run."""
    found = set()
    for below, folders, names in os.walk(root):
        found |= {os.path.relpath(os.path.join(below, name), root) for name in folders + names}
    for what, word in NOISE:
        found = {re.sub(what, word, path) for path in found}
    return found


class Bench:
    """The driver, its bundles, and the faults that it is to have."""

    def __init__(self, build, work):
        self.driver = os.path.join(build, 'tests/store/kt-store-driver')
        self.striker = os.path.join(build, 'tests/crash/kt-crash-at')
        self.canaries = os.path.join(build, 'tests/crash/kt-crash-canary.so')
        self.sample = os.path.join(build, 'tests/crash/kt-crash-sample')
        self.work, self.noise = work, NOISE
        self.canary = ''
        self.ends, self.lock = {}, threading.Lock()
        # a build with sanitizers: a traced process cannot look for leaks, and a finding must not look like a refusal
        self.clean = dict(os.environ, LC_ALL='C', ASAN_OPTIONS='detect_leaks=0:exitcode=86',
                          UBSAN_OPTIONS='exitcode=86')
        with open(os.path.join(build, 'tests/store/kt-store-payload'), 'rb') as payload:
            self.payload = payload.read()
        for version, folders in BUNDLES.items():
            self.tree_make(self.bundle(version), folders)
            subprocess.run([self.driver, 'pack', self.bundle(version), version], check=True, env=self.clean)
        self.legacy = self.legacy_name()

    def content(self, text):
        return self.payload + text.encode() if text.startswith('KM') else text.encode()

    @staticmethod
    def mode(folder):
        return 0o755 if folder == 'bin' else 0o644

    def tree_make(self, top, folders):
        for folder, files in folders.items():
            for name, text in files.items():
                path = os.path.join(top, folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if text.startswith('-> '):
                    os.symlink(text[3:], path)
                    continue
                with open(path, 'wb') as file:
                    file.write(self.content(text))
                os.chmod(path, self.mode(folder))

    def legacy_name(self):
        root = os.path.join(self.work, 'earlier', 'k')
        self.tree_make(root, EARLIER_FILES)
        status, said = self.call(root, ('adopt',))
        if status != 0 or not said.startswith('adopted='):
            raise Broken(f'what an earlier installer left is not adopted: {said}')
        return said.removeprefix('adopted=')

    def bundle(self, version):
        return os.path.join(self.work, 'bundle', version)

    def command(self, root, call):
        return [self.driver, call[0], root] + [self.bundle(a[1:]) if a[0] == '@' else a for a in call[1:]]

    def commands(self, root, step):
        """All of a step's calls as one command."""
        lines = [self.command(root, call) for call in step.calls]
        if len(lines) == 1:
            return lines[0]
        return ['sh', '-c', ' && '.join(map(shlex.join, lines)) + '; exit $?']  # which forks for the last one too

    def call(self, root, call):
        """The honest installer."""
        done = subprocess.run(self.command(root, call), env=self.clean, capture_output=True, text=True,
                              errors='replace', check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def must(self, root, call):
        status, said = self.call(root, call)
        if status != 0:
            raise Broken(f'{call[0]} said: {said}')

    def suspect(self):
        """The environment of the one that is struck: honest, or a canary."""
        return dict(self.clean, LD_PRELOAD=self.canaries, KT_CANARY=self.canary) if self.canary else self.clean

    def strike_command(self, root, step, options, *how):
        noise = [word for what, text in self.noise for word in ('-n', f'{what}={text}')]
        noise += [word for what in UNCOUNTED for word in ('-u', what)]
        return [self.striker, '-r', root, '-s', f'{self.work}=work', *noise, *options, *how, *self.commands(root, step)]

    def strike(self, root, step, known, new, *how):
        """Returns the status of kt-crash-at, what was said, and the calls that it met and that are not in the file
        `known`, as (flags, name); they pass through the file `new`."""
        done = subprocess.run(self.strike_command(root, step, ('-k', known, '-o', new), *how), env=self.suspect(),
                              capture_output=True, text=True, errors='replace', check=False)
        if not 0 <= done.returncode < 128 or done.returncode == 97:
            raise Broken(f"{' '.join(how)}: kt-crash-at ended with {done.returncode}: {done.stdout}{done.stderr}")
        with open(new, encoding='utf-8', errors='replace') as file:
            news = [tuple(line.rstrip('\n').split(' ', 1)) for line in file]
        os.remove(new)
        return done.returncode, (done.stdout + done.stderr).strip(), news

    def begin(self, root, step):
        """Leads a root to where a step begins."""
        for one in step.before:
            if one == MAKE_EARLIER:
                self.tree_make(root, EARLIER_FILES)
            elif isinstance(one, Damage):
                one.apply(root)
            else:
                self.must(root, one)

    # The judge.

    def right(self, current):
        """The folders and files that a version shows."""
        return EARLIER_FILES if current in (EARLIER.current, LEGACY) else BUNDLES[current] if current else {}

    def is_damaged(self, root, step, current):
        """Is the step's damage still there? It is, or it is not: nothing in between, which compare() sees to."""
        damage = step.damage
        if not damage:
            return False
        path, (folder, name) = os.path.join(root, damage.path), damage.path.split('/', 1)
        try:
            info = os.stat(path)
            with open(path, 'rb') as file:
                found = file.read(), stat.S_IMODE(info.st_mode)
        except FileNotFoundError:
            return damage.way == 'lost'
        whole = self.content(self.right(current)[folder][name])
        return damage.way != 'lost' and found == (damage.text(whole), damage.mode(self.mode(folder)))

    def look(self, root, step=None):
        """Returns the state of a root. What the step's damage explains is no fault."""
        if not os.path.isdir(root):
            return NOTHING
        status, said = self.call(root, ('inventory',))
        if status != 0:
            raise Broken(f'inventory: {said}')
        words = dict(w.split('=', 1) for w in said.split('\n')[0].split(' '))
        sets = said.split('\nsets=')[1].split()
        if words['foreign'] == '1' and words['adoptable'] == '1':
            return EARLIER  # or on the way from there: what is seen is the same
        named = {self.legacy: LEGACY}
        now = State(named.get(words['current'], words['current']), frozenset(named.get(one, one) for one in sets))
        if now.current and words['whole'] != '1':
            self.forgive(root, step, now, said.split('\n')[1])
        if words['previous'] and words['previous'] not in sets:
            raise Broken(f"previous names {words['previous']}, which is not there")
        return now

    def forgive(self, root, step, now, said):
        """A complaint that the damage before the step explains, while it is there."""
        if not step or not step.damage or os.path.basename(step.damage.path) not in said:
            raise Broken(said)
        if not self.is_damaged(root, step, now.current):
            raise Broken(f'{step.damage.path} is mended, but: {said}')

    def compare(self, root, current, damage=None):
        """What the five links show is the bundle of what is current, or nothing; but for the damage that is there."""
        for folder in FOLDERS:
            right = dict(self.right(current).get(folder, {}))
            if damage and damage.way == 'lost' and damage.path.startswith(folder + '/'):
                del right[damage.path.split('/', 1)[1]]
            link, found = os.path.join(root, folder), set()
            if current == EARLIER.current and os.path.isdir(link) and not os.path.islink(link):
                pass  # not exchanged yet
            elif os.path.lexists(link) and (not os.path.islink(link) or os.readlink(link) != 'current/' + folder):
                raise Broken(f'{folder} does not lead to current/{folder}')
            for below, folders, names in os.walk(link + '/'):  # which counts links to folders among the folders
                names += [name for name in folders if os.path.islink(os.path.join(below, name))]
                found |= {os.path.relpath(os.path.join(below, name), link) for name in names}
            found = {name for name in found if not name.startswith('.')}  # the store's own records
            if found != set(right):
                raise Broken(f'{folder} shows {sorted(found)}, not {sorted(right)}')
            for name, text in right.items():
                if not damage or damage.path != f'{folder}/{name}':
                    self.compare_file(os.path.join(link, name), text, self.mode(folder), f'{folder}/{name}', current)

    def compare_file(self, path, text, mode, name, current):
        if text.startswith('-> '):
            if not os.path.islink(path) or os.readlink(path) != text[3:]:
                raise Broken(f'{name} is not the link that {current} holds')
            return
        with open(path, 'rb') as file:
            if file.read() != self.content(text):
                raise Broken(f'{name} is not what {current} holds')
        if stat.S_IMODE(os.stat(path).st_mode) != mode:
            raise Broken(f'{name} has mode {stat.S_IMODE(os.stat(path).st_mode):o}, not {mode:o}')

    def verify_all(self, root, step, now):
        """No set that is there lies."""
        for version in sorted(now.sets):
            status, said = self.call(root, ('verify', self.legacy if version == LEGACY else version))
            if status != 0:
                self.forgive(root, step, now, f'verify said: {said}')

    def judge(self, root, step):
        """After a strike: the old state or the new one, each whole, and no set that lies. Returns the state."""
        now = self.look(root, step)
        if now.current not in (step.old.current, step.new.current):
            raise Broken(f'current is "{now.current}"')
        if not (step.old.sets & step.new.sets) <= now.sets <= (step.old.sets | step.new.sets):
            raise Broken(f'the sets are {sorted(now.sets)}')
        if now.current and now != EARLIER and now.current not in now.sets:
            raise Broken(f'current names {now.current}, which is not there')
        self.verify_all(root, step, now)
        self.compare(root, now.current, step.damage if self.is_damaged(root, step, now.current) else None)
        return now

    def judge_any(self, root, step):
        """Whatever the state is, it is whole, and an installation from here ends well."""
        now = self.look(root, step)
        self.verify_all(root, step, now)
        self.compare(root, now.current, step.damage if self.is_damaged(root, step, now.current) else None)
        if now == EARLIER:
            self.must(root, ('adopt',))
        self.must(root, LAND1)
        if self.look(root).current != '1.0':
            raise Broken(f'an installation after it ended with {self.look(root)}')
        self.must(root, ('verify',))

    def judge_success(self, root, step, now):
        """It says that it succeeded: then it did."""
        if now != step.new:
            raise Broken(f'it says that it succeeded, but there is {now}')
        if step.new == NOTHING and os.path.lexists(root):
            raise Broken(f'it says that it succeeded, but left {root} with {os.listdir(root)}')
        if self.is_damaged(root, step, now.current):
            raise Broken(f'it says that it succeeded, but {step.damage.path} is as damaged as before')

    # What is done after.

    def end(self, step):
        """What is in a root after a step that nobody struck; and after the same once more."""
        with self.lock:
            if step.name not in self.ends:
                root, ends = os.path.join(self.work, 'end', step.name, 'k'), []
                os.makedirs(os.path.dirname(root))
                self.begin(root, step)
                for _ in range(2):
                    for call in step.calls:
                        self.must(root, call)
                    ends.append(lasting(names_below(root)))
                shutil.rmtree(os.path.dirname(root))
                self.ends[step.name] = ends
            return self.ends[step.name]

    def finish(self, root, step):
        """The next run, honest and without help, ends in the new state and leaves no litter. What it keeps because it
        may be in use, the run after it sweeps."""
        if step.verb == 'uninstall':
            _, said = self.call(root, step.calls[0])
            if os.path.exists(root):
                raise Broken(f'the next {step.verb} left {os.listdir(root)}: {said}')
            return
        for _ in range(2):
            for call in step.calls:
                self.must(root, call)
            now = self.judge(root, step)
            if now != step.new or self.is_damaged(root, step, now.current):
                raise Broken(f'the next {step.verb} ended with {now}')
            found = lasting(names_below(root))
            if found in self.end(step) or step.verb == 'activate':  # which is not asked to sweep
                return
        raise Broken(f'the next {step.verb} left {sorted(found - self.end(step)[1])} and lacks '
                     f'{sorted(self.end(step)[1] - found)}')

    def again(self, root, step):
        """Every way on that a person or the agent would take from here."""
        if step.verb == 'uninstall':
            self.install_after(root)
        if step.verb == 'adopt':
            self.upgrade_adopted(root)
        else:
            self.finish(root, step)

    def install_after(self, root):
        copy = root + '.copy'
        if os.path.isdir(root):
            shutil.copytree(root, copy, symlinks=True)
        self.must(copy, LAND1)
        now = self.look(copy)
        if now.current != '1.0':
            raise Broken(f'an installation after it ended with {now}')
        self.must(copy, ('verify',))
        shutil.rmtree(copy)

    def upgrade_adopted(self, root):
        """As a landing does: first what an earlier installer left, where it is not adopted yet."""
        if self.look(root) == EARLIER:
            self.must(root, ('adopt',))
        adopted = self.look(root)
        if adopted != state(LEGACY, LEGACY):
            raise Broken(f'the next adoption ended with {adopted}')
        self.compare(root, LEGACY)
        self.must(root, LAND2)
        now = self.look(root)
        if now != state('2.0', LEGACY, '2.0'):
            raise Broken(f'the upgrade after it ended with {now}')
        self.must(root, ('verify', self.legacy))
        self.compare(root, '2.0')


def copy_tree(source, target):
    """As it is, modes, links and times."""
    subprocess.run(['cp', '-a', source, target], check=True)
