"""The order of what is asked of the disk, read from the trace: what got its name before it was synced."""
import os
import shutil
import subprocess

from process import Rig
from store import Broken

LINT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../store/order.py')


class Order(Rig):
    """One point a step: its whole trace."""

    def all(self):
        return [()]

    def one(self):
        root = self.fresh('traced')
        trace = os.path.join(self.place, 'trace')
        done = subprocess.run(['strace', '-f', '-y', '-qq', '-o', trace, '-e', 'trace=desc,file',
                               *self.bench.command(root, self.step.call)],
                              env=self.bench.suspect(), capture_output=True, text=True, errors='replace')
        if done.returncode != 0:
            raise Broken(f'{self.step.name}: {done.stdout}{done.stderr}')
        lint = subprocess.run([LINT, trace, root], capture_output=True, text=True)
        if lint.returncode != 0:
            raise Broken((lint.stdout + lint.stderr).strip().replace('\n', '; '))
        shutil.rmtree(root, ignore_errors=True)
