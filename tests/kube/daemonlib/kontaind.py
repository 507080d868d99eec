"""The real kontaind as a process of the tests: start it, ask it, read its log, end it."""
import copy
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = json.load(open(os.path.join(HERE, "..", "state.json")))
BOOT = open("/proc/sys/kernel/random/boot_id").read().strip()
WAIT_S = 30  # for what should be there in a moment: generous, as the machine may be busy
HEAL_S = 90  # for what comes after a back-off of at most 30 s


def stamp(seconds):
	return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def boot_seconds():
	return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def state(observed=0, until=600, boot=BOOT, **sections):
	"""A state document; sections={"node": {...}} changes keys of one, `top` those of the document."""
	document = copy.deepcopy(TEMPLATE)
	document.update(bootId=boot, observedAt=stamp(observed), nextUpdateBy=stamp(until),
		observedAtBoot=max(0, boot_seconds() + observed), nextUpdateByBoot=max(0, boot_seconds() + until))
	for name, change in sections.items():
		(document if name == "top" else document[name]).update(change)
	return document


def write(path, document):
	"""Whole, by rename, as the installer does it. Bytes are taken as they are."""
	content = document if isinstance(document, bytes) else json.dumps(document).encode()
	temporary = os.path.join(os.path.dirname(path), ".partial-" + os.path.basename(path))
	with open(temporary, "wb") as file:
		file.write(content)
	os.rename(temporary, path)


def until(check, seconds=WAIT_S):
	"""What check returns once it is true; None when it is not in time."""
	end = time.monotonic() + seconds
	while True:
		result = check()
		if result:
			return result
		if time.monotonic() > end:
			return None
		time.sleep(0.02)


class Answer:
	def __init__(self, code, body, head=""):
		self.code, self.body, self.head = code, body, head

	def __str__(self):
		return f"{self.code} {self.body!r}"


def exchange(address, request, seconds=20, end=True):
	"""Sends bytes, returns all that comes until the other side closes."""
	with socket.create_connection(address, timeout=seconds) as client:
		got = b""
		try:
			client.sendall(request)
			if end:
				client.shutdown(socket.SHUT_WR)
			while chunk := client.recv(65536):
				got += chunk
		except OSError:  # closed before all was sent: what came until then is the answer
			pass
		return got


def parse(got):
	head, _, body = got.partition(b"\r\n\r\n")
	words = head.split(b" ", 2)
	code = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") else 0
	return Answer(code, body.decode(errors="replace"), head.decode(errors="replace"))


class Daemon:
	def __init__(self, program, *arguments, environment=None, pass_fds=(), folder=None, before=None):
		self.folder = folder or tempfile.mkdtemp(prefix="d-")
		self.state_path = os.path.join(self.folder, "state.json")
		self.log_path = os.path.join(self.folder, "log")
		self.log_file = open(self.log_path, "wb")
		options = ["--listen", "127.0.0.1:0"] if "--listen" not in arguments else []
		options += ["--state", self.state_path] if "--state" not in arguments else []
		# Sanitizers write to a file of their own: the log is checked to be nothing but log lines.
		environment = dict(environment or {}, ASAN_OPTIONS=f"log_path={self.folder}/asan",
			UBSAN_OPTIONS=f"log_path={self.folder}/ubsan")
		self.process = subprocess.Popen([program, *options, *arguments], env=environment, pass_fds=pass_fds,
			stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file, preexec_fn=before)
		self.address = None

	def lines(self):
		with open(self.log_path, errors="replace") as file:
			return [json.loads(line) for line in file.read().splitlines()]

	def text(self):
		with open(self.log_path, errors="replace") as file:
			return file.read()

	def serving(self):
		"""Waits until it listens."""
		def look():
			for line in self.lines():
				if line["msg"] == "serving":
					host, _, port = line["address"].rpartition(":")
					return host.strip("[]"), int(port)
			return self.process.poll() is not None and ("", 0)
		self.address = until(look)
		if not self.address or not self.address[1]:
			raise RuntimeError(f"kontaind does not serve: {self.text()}")
		return self

	def ask(self, path, method="GET"):
		return parse(exchange(self.address, f"{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()))

	def wait_for(self, path, code, text="", seconds=WAIT_S):
		"""The answer once it is as wanted, else the last one that was not, under False."""
		last = None
		def look():
			nonlocal last
			last = self.ask(path)
			return last.code == code and text in last.body
		return bool(until(look, seconds)), last

	def wait_for_line(self, event, **wanted):
		return until(lambda: [l for l in self.lines() if l["msg"] == event and
			all(value in l.get(key, "") for key, value in wanted.items())])

	def status(self, key):
		for line in open(f"/proc/{self.process.pid}/status"):
			if line.startswith(key + ":"):
				return line.split(":", 1)[1].strip()
		return None

	def memory_kib(self):
		return int(self.status("VmRSS").split()[0])

	def ticks(self):
		"""Of CPU time, its own and the kernel's."""
		fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
		return int(fields[11]) + int(fields[12])

	def descriptors(self):
		folder = f"/proc/{self.process.pid}/fd"
		named = {}
		for fd in os.listdir(folder):
			try:
				named[int(fd)] = os.readlink(f"{folder}/{fd}")
			except FileNotFoundError:
				pass  # closed since it was listed: a client went
		return named

	def stop(self, number=signal.SIGTERM):
		"""Exit status and seconds from the signal to the end."""
		start = time.monotonic()
		if self.process.poll() is None:
			self.process.send_signal(number)
		try:
			status = self.process.wait(WAIT_S)
		except subprocess.TimeoutExpired:
			self.process.kill()
			status = self.process.wait()
		self.log_file.close()
		return status, time.monotonic() - start

	def sanitizer(self):
		"""What a sanitizer had to say; "" when nothing."""
		said = [name for name in os.listdir(self.folder) if name.startswith(("asan", "ubsan"))]
		return "".join(open(os.path.join(self.folder, name)).read() for name in said)
