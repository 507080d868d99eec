"""Rows, the program and its state for the cases of tests/plugin."""
import json
import os
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
BUILD = os.environ["KONTAIN_BUILD"]
PROGRAM = os.path.join(BUILD, "daemon/plugin/kontain-device-plugin")
counts = {"passed": 0, "failed": 0, "skipped": 0}
notes = []


def check(is_so, words, *seen):
	"""Within a case: said when it fails."""
	if not is_so:
		notes.append(words + "".join(f"; {one}" for one in seen))
	return is_so


def same(got, expected, words):
	return check(got == expected, words, f"expected {expected!r}, got {got!r}")


def within(seconds, is_so):
	deadline = time.monotonic() + seconds
	while not is_so():
		if time.monotonic() > deadline:
			return False
		time.sleep(0.01)
	return True


class Node:
	"""A folder with what a node has for the plugin, and the plugin's processes."""

	def __init__(self, work):
		self.top = tempfile.mkdtemp(dir=work)
		os.chmod(self.top, 0o755)
		self.kubelet, self.run = os.path.join(self.top, "kubelet"), os.path.join(self.top, "run")
		self.device = os.path.join(self.run, "device")
		for folder in (self.kubelet, self.run):
			os.mkdir(folder, 0o755)
		self.state_file = os.path.join(self.run, "state.json")
		self.processes, self.ended = [], []

	def write(self, ready=True, seconds=600, boot_id=None, **parts):
		"""A state as the installer writes it: whole, renamed into place. parts: top-level members to merge."""
		with open(os.path.join(HERE, "../kube/state.json")) as file:
			state = json.load(file)
		with open("/proc/sys/kernel/random/boot_id") as file:
			state["bootId"] = boot_id or file.read().strip()
		now, boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
		state["observedAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
		state["nextUpdateBy"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds))
		state["observedAtBoot"], state["nextUpdateByBoot"] = int(boot), int(boot) + seconds
		if not ready:
			state["node"] = {"ready": False, "reason": "DeviceMissing", "message": "/dev/kvm is missing"}
		for name, part in parts.items():
			state[name].update(part)
		with open(self.state_file + ".new", "w") as file:
			json.dump(state, file)
		os.rename(self.state_file + ".new", self.state_file)
		return time.monotonic()

	def start(self, *options):
		log = open(os.path.join(self.top, f"log-{len(self.processes)}"), "w+")
		process = subprocess.Popen([PROGRAM, "--kubelet-folder", self.kubelet, "--state", self.state_file,
			"--device-folder", self.device, *options], stderr=log, stdout=log, stdin=subprocess.DEVNULL)
		process.log = log.name
		self.processes.append(process)
		return process

	def log(self):
		return "".join(open(one.log).read() for one in self.processes)

	def socket(self, name="kontain-kvm.sock"):
		return os.path.join(self.kubelet, name)

	def serving(self, name="kontain-kvm.sock"):
		return within(10, lambda: os.path.exists(self.socket(name))) and self.socket(name)

	def stop(self, process, by=signal.SIGTERM, expected=0):
		"""Ends it, and looks at how it ended: what a sanitizer found is an exit status too."""
		self.ended.append(process)
		if process.poll() is None:
			process.send_signal(by)
		try:
			status = process.wait(timeout=20)
		except subprocess.TimeoutExpired:
			process.kill()
			status = f"not ended by {by}"
		check(status == expected, f"the plugin ended with {status}", open(process.log).read()[-2000:])

	def close(self):
		for process in self.processes:
			if process not in self.ended:
				self.stop(process)


def memory_kib(process):
	with open(f"/proc/{process.pid}/smaps_rollup") as file:
		rows = dict(line.split(":") for line in file.read().splitlines()[1:])
	return int(rows["Rss"].split()[0]), int(rows["Private_Dirty"].split()[0])
