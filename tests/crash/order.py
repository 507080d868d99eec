"""The order of what is asked of the disk, read from the trace: what got its name before it was synced."""
import os
import shutil
import subprocess

from store import Broken, Unfit

LINT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../store/order.py')


class Order:
    """One trace a step, all of it."""

    def __init__(self, bench, step, place):
        self.bench, self.step = bench, step
        self.root, self.trace = os.path.join(place, 'k'), os.path.join(place, 'trace')
        self.pictures = set()  # no state is judged
        os.makedirs(place)
        bench.begin(self.root, step)

    def batches(self):
        yield [('trace',)]

    def attempt(self, _):
        done = subprocess.run(['strace', '-f', '-y', '-qq', '-o', self.trace, '-e', 'trace=desc,file',
                               *self.bench.commands(self.root, self.step)],
                              env=self.bench.suspect(), capture_output=True, text=True, errors='replace', check=False)
        if done.returncode != 0:
            raise Unfit(f'{self.step.name} fails without being struck: {done.stdout}{done.stderr}')
        lint = subprocess.run([LINT, self.trace, self.root], capture_output=True, text=True, check=False)
        if lint.returncode != 0:
            raise Broken((lint.stdout + lint.stderr).strip().replace('\n', '; '))
        shutil.rmtree(self.root, ignore_errors=True)
        return True

    def count(self, _):
        return 1

    def verdict(self):
        return [], []
