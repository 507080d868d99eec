"""The memory of the manifest's own limit: kontaind in a control group of that size, beside an API server and a state
file whose bytes are few and whose values are many. A program with sanitizers does not fit in it: the release
is taken."""
import os
import re
import subprocess
import tempfile

import apiserver
import kontaind as k
import liars
from checks import BUILD, PROGRAM, check, end, logs, skip

MANIFEST = os.path.join(k.HERE, "../../../manifests/base/daemonset.yaml")
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
BODY = 2 * 1024 * 1024 - 4096  # what kontaind takes of an answer at most, but for a little


def limit():
	"""Of the container kontaind, as the manifest has it."""
	text = open(MANIFEST).read().split("- name: kontaind\n", 1)[1]
	number, unit = re.search(r"limits: {memory: (\d+)([KMG]i)}", text).groups()
	return int(number) * UNITS[unit]


class Group:
	"""A control group with that limit, by version 1 or 2; None for the folder where there is none to be had."""

	def __init__(self, size):
		self.folder = None
		is_v1 = os.path.isdir("/sys/fs/cgroup/memory")
		above = "/sys/fs/cgroup/memory" if is_v1 else "/sys/fs/cgroup"
		try:
			self.folder = tempfile.mkdtemp(prefix="kontaind-test-", dir=above)
			self.set("memory.limit_in_bytes" if is_v1 else "memory.max", size)
			for name in ("memory.memsw.limit_in_bytes",) if is_v1 else ("memory.swap.max",):
				if os.path.exists(os.path.join(self.folder, name)):
					self.set(name, size if is_v1 else 0)
		except OSError:
			self.remove()

	def set(self, name, value):
		with open(os.path.join(self.folder, name), "w") as file:
			file.write(str(value))

	def enter(self):
		self.set("cgroup.procs", os.getpid())

	def most(self):
		for name in ("memory.max_usage_in_bytes", "memory.peak"):
			path = os.path.join(self.folder, name)
			if os.path.exists(path):
				return int(open(path).read())
		return 0

	def remove(self):
		if self.folder:
			k.until(lambda: not self.try_remove(), 5)
		self.folder = None

	def try_remove(self):
		try:
			os.rmdir(self.folder)
		except OSError as problem:
			return problem
		return None


def plain_program():
	"""One without sanitizers, whose memory is what a node's would be."""
	for program in (PROGRAM, os.path.join(os.path.abspath(BUILD), "../release/daemon/kontaind")):
		if os.access(program, os.X_OK):
			libraries = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
			if "libasan" not in libraries and b"__asan_init" not in open(program, "rb").read():
				return program
	return None


def dense(unit, head="[", tail="0]", times=None):
	body = (head + unit * (times or (BODY - 64) // len(unit)) + tail).encode()
	return lambda code: lambda server, connection, request: apiserver.reply(connection, code, body)


def many_keys():
	body = ('{"kind":"Node",' + ",".join(f'"{i:x}":{{}}' for i in range(200000)) + "}").encode()[:BODY]
	return lambda code: lambda server, connection, request: apiserver.reply(connection, code, body)


# Name, what the server answers with: the densest documents that fit in the bytes that are taken.
DENSE = [
	("empty objects", dense("{},")), ("empty arrays", dense("[],")), ("nested objects", dense('{"":{}},')),
	("small strings", dense('"",')), ("numbers", dense("1,")), ("many keys", many_keys()),
	("one long string", dense("x" * 64, '["', '"]')),
	("as many values as are taken", dense('{"":{}},', times=24990)),
]


def pod(program, server, folder, group):
	environment = {"NODE_NAME": apiserver.NODE, "KUBERNETES_SERVICE_HOST": "127.0.0.1",
		"KUBERNETES_SERVICE_PORT": str(server.port)}
	one = k.Daemon(program, "--config", f"{folder}/config.yaml", environment=environment, before=group.enter)
	logs.append(one)
	k.write(one.state_path, k.state())
	return one.serving()


def test_memory(folder):
	program, size = plain_program(), limit()
	if not program:
		return skip("memory", "no kontaind without sanitizers: build the release")
	liars.put_secret("token", liars.TOKENS[0])
	for code in (200, 403):
		for name, make in DENSE:
			group = Group(size)
			if not group.folder:
				return skip("memory", "no control group can be made")
			server = apiserver.Server(folder, make(code))
			one = pod(program, server, folder, group)
			k.until(lambda: len(server.requests) >= 2 or one.process.poll() is not None, 20)
			check(one.process.poll() is None, f"memory: lives with {name}, {code}",
				f"ended with {one.process.poll()} in {size >> 20} MiB")
			if one.process.poll() is None:
				check(one.ask("/readyz/report").code == 503, f"memory: {name}, {code}: is not believed")
				print(f"memory: {name}, {code}: at most {group.most() >> 20} of {size >> 20} MiB", flush=True)
				end(one, f"memory: {name}, {code}")
			server.close()
			group.remove()
	test_watch(program, size, folder)
	test_state(program, size)


def test_watch(program, size, folder):
	"""Events of a watch, beside a server that answers honestly otherwise."""
	values = '{"type":"MODIFIED","object":{"kind":"Node","x":[' + '{"":{}},' * 24900 + "0]}}"
	for name, line in (("as many values as are taken", values), ("one long string", '{"x":"' + "x" * BODY)):
		def watch(server, connection, request):
			apiserver.begin_watch(connection)
			apiserver.send_event(server, connection, "ADDED")
			apiserver.send_chunk(connection, (line + " " * (BODY - len(line)) + "\n").encode())
		group = Group(size)
		server = apiserver.Server(folder, apiserver.honest)
		server.watch = watch
		one = pod(program, server, folder, group)
		k.until(lambda: len(server.watches) >= 3 or one.process.poll() is not None, 30)
		check(one.process.poll() is None, f"memory: lives with a watch of {name}", f"ended in {size >> 20} MiB")
		if one.process.poll() is None:
			print(f"memory: a watch of {name}: at most {group.most() >> 20} of {size >> 20} MiB", flush=True)
			end(one, f"memory: a watch of {name}")
		server.close()
		group.remove()


def test_state(program, size):
	group = Group(size)
	one = k.Daemon(program, "--standalone", before=group.enter)
	logs.append(one)
	one.serving()
	for unit in ("{},", "[],", '{"":{}},', '"",'):
		k.write(one.state_path, k.state())
		check(one.wait_for("/readyz", 200)[0], f"memory: a state before {unit}")
		k.write(one.state_path, ('{"x":[' + unit * (260000 // len(unit)) + "0]}").encode())
		good, last = one.wait_for("/readyz?verbose", 503, "too many values")
		check(good, f"memory: a state of {unit}", last)
	print(f"memory: dense states: at most {group.most() >> 20} of {size >> 20} MiB", flush=True)
	end(one, "memory: states")
	group.remove()
