"""What the rigs strike, and what must hold after: bundles, the steps of a store's life, and the judge.

The judge does not believe the store alone: beside its own `inventory` and `verify` it compares what the five links show
with the bundles' files, byte for byte."""
import dataclasses
import os
import re
import shutil
import subprocess

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


@dataclasses.dataclass(frozen=True)
class State:
    current: str
    sets: frozenset


NOTHING = State('', frozenset())
EARLIER = State('what an earlier installer left', frozenset())


def state(current, *sets):
    return State(current, frozenset(sets))


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    before: tuple   # the steps' calls that lead to where it begins
    call: tuple     # a verb and its arguments; '@1.0' is a bundle's folder
    old: State
    new: State
    damage: str = ''  # a file below the root that is broken before it


MAKE_EARLIER = ('make what an earlier installer left',)
LAND1, LAND2, LAND3 = ('land', '@1.0'), ('land', '@2.0'), ('land', '@3.0')
STEPS = (
    Step('install', (), LAND1, NOTHING, state('1.0', '1.0')),
    Step('upgrade', (LAND1,), LAND2, state('1.0', '1.0'), state('2.0', '1.0', '2.0')),
    Step('upgrade-other-components', (LAND1,), LAND3, state('1.0', '1.0'), state('3.0', '1.0', '3.0')),
    Step('repair', (LAND1, LAND2), LAND2, state('2.0', '1.0', '2.0'), state('2.0', '1.0', '2.0'), 'bin/km'),
    Step('rollback', (LAND1, LAND2), ('activate', '1.0'), state('2.0', '1.0', '2.0'), state('1.0', '1.0', '2.0')),
    Step('prune', (LAND1, LAND2, LAND3), ('prune', '0'), state('3.0', '1.0', '2.0', '3.0'), state('3.0', '2.0', '3.0')),
    Step('adopt', (MAKE_EARLIER,), ('adopt',), EARLIER, state(LEGACY, LEGACY)),
    Step('uninstall', (LAND1, LAND2), ('uninstall',), state('2.0', '1.0', '2.0'), NOTHING),
)


class Broken(Exception):
    """What the judge found."""


class Bench:
    """The driver, its bundles, and the faults that it is to have."""

    def __init__(self, build, work):
        self.driver = os.path.join(build, 'tests/store/kt-store-driver')
        self.striker = os.path.join(build, 'tests/crash/kt-crash-at')
        self.canaries = os.path.join(build, 'tests/crash/kt-crash-canary.so')
        self.work = work
        self.canary = ''
        # a build with sanitizers: a traced process cannot look for leaks, and a finding must not look like a refusal
        self.clean = dict(os.environ, LC_ALL='C', ASAN_OPTIONS='detect_leaks=0:exitcode=86',
                          UBSAN_OPTIONS='exitcode=86')
        with open(os.path.join(build, 'tests/store/kt-store-payload'), 'rb') as payload:
            self.payload = payload.read()
        for version in BUNDLES:
            self.tree_make(self.bundle(version), BUNDLES[version])
            subprocess.run([self.driver, 'pack', self.bundle(version), version], check=True, env=self.clean)
        self.legacy = self.legacy_name()

    def content(self, text):
        return self.payload + text.encode() if text.startswith('KM') else text.encode()

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
                os.chmod(path, 0o755 if folder == 'bin' else 0o644)

    def legacy_name(self):
        root = os.path.join(self.work, 'earlier')
        self.tree_make(root, EARLIER_FILES)
        status, said = self.call(root, ('adopt',))
        if status != 0 or not said.startswith('adopted='):
            raise Broken(f'what an earlier installer left is not adopted: {said}')
        return said.removeprefix('adopted=')

    def bundle(self, version):
        return os.path.join(self.work, 'bundle', version)

    def command(self, root, call):
        return [self.driver, call[0], root] + [self.bundle(a[1:]) if a[0] == '@' else a for a in call[1:]]

    def call(self, root, call):
        """The honest installer."""
        done = subprocess.run(self.command(root, call), env=self.clean, capture_output=True, text=True,
                              errors='replace')
        return done.returncode, (done.stdout + done.stderr).strip()

    def must(self, root, call):
        status, said = self.call(root, call)
        if status != 0:
            raise Broken(f'{call[0]} said: {said}')

    def suspect(self):
        """The environment of the one that is struck: honest, or a canary."""
        return dict(self.clean, LD_PRELOAD=self.canaries, KT_CANARY=self.canary) if self.canary else self.clean

    def strike(self, root, step, *how):
        """Returns the status of kt-crash-at and what was struck."""
        done = subprocess.run([self.striker, *how, *self.command(root, step.call)], env=self.suspect(),
                              capture_output=True, text=True, errors='replace')
        if done.returncode == 97 or done.returncode >= 128:
            raise Broken(f'{how}: status {done.returncode}: {done.stdout}{done.stderr}')
        return done.returncode, done.stderr.split('\n')[0], done.stdout.strip()

    def count(self, root, step, *how):
        """How many calls each process makes that can be struck so, in the order of their births."""
        done = subprocess.run([self.striker, 'count', *how, *self.command(root, step.call)], env=self.suspect(),
                              capture_output=True, text=True, errors='replace')
        if done.returncode != 0:
            raise Broken(f'{step.name} fails without being struck: {done.stdout}{done.stderr}')
        rows = [line.split() for line in done.stdout.split('\n') if re.fullmatch(r'\d+ \d+', line)]
        return [int(calls) for _, calls in rows]

    def begin(self, root, step):
        """Leads a root to where a step begins."""
        for call in step.before:
            if call == MAKE_EARLIER:
                self.tree_make(root, EARLIER_FILES)
            else:
                self.must(root, call)
        if step.damage:
            with open(os.path.join(root, step.damage), 'ab') as file:
                file.write(b'damage')

    # The judge.

    def look(self, root):
        """Returns the state of a root and whether anything in it is damaged."""
        if not os.path.isdir(root):
            return NOTHING
        status, said = self.call(root, ('inventory',))
        if status != 0:
            raise Broken(f'inventory: {said}')
        words = dict(w.split('=', 1) for w in said.split('\n')[0].split(' '))
        sets = said.split('\nsets=')[1].split()
        if words['foreign'] == '1' and words['adoptable'] == '1':
            return EARLIER  # or on the way from there: what is seen is the same
        if words['current'] and words['whole'] != '1':
            raise Broken(said.split('\n')[1])
        if words['previous'] and words['previous'] not in sets:
            raise Broken(f"previous names {words['previous']}, which is not there")
        named = {self.legacy: LEGACY}
        return State(named.get(words['current'], words['current']), frozenset(named.get(one, one) for one in sets))

    def compare(self, root, current):
        """What the five links show is the bundle of what is current, or nothing."""
        for folder in FOLDERS:
            of = EARLIER_FILES if current in (EARLIER.current, LEGACY) else BUNDLES[current] if current else {}
            wanted = of.get(folder, {})
            link, found = os.path.join(root, folder), set()
            if current == EARLIER.current and os.path.isdir(link) and not os.path.islink(link):
                pass  # not exchanged yet
            elif os.path.lexists(link) and (not os.path.islink(link) or os.readlink(link) != 'current/' + folder):
                raise Broken(f'{folder} does not lead to current/{folder}')
            for below, folders, names in os.walk(link + '/'):  # which counts links to folders among the folders
                names += [name for name in folders if os.path.islink(os.path.join(below, name))]
                found |= {os.path.relpath(os.path.join(below, name), link) for name in names}
            found.discard('.files')
            if found != set(wanted):
                raise Broken(f'{folder} shows {sorted(found)}, not {sorted(wanted)}')
            for name, text in wanted.items():
                path = os.path.join(link, name)
                if text.startswith('-> '):
                    same = os.path.islink(path) and os.readlink(path) == text[3:]
                else:
                    with open(path, 'rb') as file:
                        same = file.read() == self.content(text)
                if not same:
                    raise Broken(f'{folder}/{name} is not what {current} holds')

    def judge(self, root, step):
        """After a strike: the old state or the new one, each whole, and no set that lies. Returns the state."""
        try:
            now = self.look(root)
        except Broken as fault:
            # what was damaged before may still be
            if step.damage and 'another size' in str(fault):
                return step.old
            raise
        if now.current not in (step.old.current, step.new.current):
            raise Broken(f'current is "{now.current}"')
        if not (step.old.sets & step.new.sets) <= now.sets <= (step.old.sets | step.new.sets):
            raise Broken(f'the sets are {sorted(now.sets)}')
        if now.current and now != EARLIER and now.current not in now.sets:
            raise Broken(f'current names {now.current}, which is not there')
        for version in sorted(now.sets):
            self.must(root, ('verify', self.legacy if version == LEGACY else version))
        self.compare(root, now.current)
        return now

    def judge_any(self, root):
        """Whatever the state is, it is whole, and an installation from here ends well."""
        now = self.look(root)
        for version in sorted(now.sets):
            self.must(root, ('verify', self.legacy if version == LEGACY else version))
        self.compare(root, now.current)
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
        if step.damage:
            self.must(root, ('verify',))

    def finish(self, root, step, call=None):
        """The next run, honest and without help, ends in the new state."""
        call = call or step.call
        status, said = self.call(root, call)
        if call[0] == 'uninstall':
            if os.path.exists(root):
                raise Broken(f'the next {call[0]} left {os.listdir(root)}: {said}')
            return
        if status != 0:
            raise Broken(f'the next {call[0]} said: {said}')
        now = self.judge(root, step)
        if now != step.new:
            raise Broken(f'the next {call[0]} ended with {now}')
        left = [name for name in os.listdir(root) if name.startswith('.partial-')]
        if left and call[0] in ('land', 'prune'):
            raise Broken(f'the next {call[0]} left {left}')

    def again(self, root, step):
        """Every way on that a person or the agent would take from here."""
        if step.name == 'uninstall':
            copy = root + '.copy'
            if os.path.isdir(root):
                shutil.copytree(root, copy, symlinks=True)
            install = STEPS[0]
            self.must(copy, install.call)
            now = self.look(copy)
            if now.current != '1.0':
                raise Broken(f'an installation after it ended with {now}')
            self.must(copy, ('verify',))
            shutil.rmtree(copy)
        if step.name == 'adopt':
            self.upgrade_adopted(root)
        else:
            self.finish(root, step)

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
    """As it is, modes, links and times. A root that is not there is copied as such."""
    if os.path.isdir(source):
        subprocess.run(['cp', '-a', source, target], check=True)
