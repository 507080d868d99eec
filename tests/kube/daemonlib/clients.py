"""Hostile HTTP clients, and bad options and configs."""
import json
import os
import socket
import subprocess
import tempfile
import time

import kontaind as k
from checks import PROGRAM, check, daemon, end

# ---- hostile clients: name, bytes, the codes that are right (0: closed without an answer) ----

def requests():
	head = b"HTTP/1.1\r\nHost: x\r\n"
	rows = [
		("garbage", bytes(range(256)) * 8, {0, 400}),
		("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, {0, 400}),
		("nothing", b"", {0}),
		("half a line", b"GET /liv", {0, 400}),
		("no version", b"GET /livez\r\n\r\n", {0, 200, 400}),
		("another version", b"GET /livez HTTP/7.3\r\nHost: x\r\n\r\n", {0, 400, 505}),
		("no host", b"GET /livez HTTP/1.1\r\n\r\n", {200, 400}),
		("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n", {200}),
		("a long path", b"GET /" + b"a" * 20000 + b" " + head + b"\r\n", {0, 400, 414, 431}),
		("a long header", b"GET /livez " + head + b"X: " + b"b" * 20000 + b"\r\n\r\n", {0, 400, 413, 431}),
		("many headers", b"GET /livez " + head + b"X: y\r\n" * 5000 + b"\r\n", {0, 400, 413, 431}),
		("a line without end", b"GET /livez " + head + b"X" * 200000, {0, 400, 413, 431}),
		("a NUL in the path", b"GET /readyz%00/../livez " + head + b"\r\n", {200, 400, 404, 503}),
		("a bad escape", b"GET /livez%zz%f " + head + b"\r\n", {400, 404}),
		("up and away", b"GET /livez/../../etc/passwd " + head + b"\r\n", {400, 404}),
		("up and away, escaped", b"GET /%2e%2e/%2e%2e/etc/passwd " + head + b"\r\n", {400, 404}),
		("a whole URL", b"GET http://elsewhere/livez " + head + b"\r\n", {200, 400, 404}),
		("a long query", b"GET /readyz?" + b"exclude=a&" * 600 + b"x " + head + b"\r\n", {0, 200, 400, 414}),
		("an odd query", b"GET /readyz?verbose=&=&exclude&exclude=%00%ff&&& " + head + b"\r\n", {200, 503}),
		("a body that never comes", b"GET /livez " + head + b"Content-Length: 9999999999\r\n\r\n", {200, 400}),
		("a negative length", b"GET /livez " + head + b"Content-Length: -1\r\n\r\n", {200, 400}),
		("two lengths", b"POST / " + head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", {400, 405}),
		("bad chunks", b"GET /livez " + head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {200, 400}),
		("two at once", (b"GET /livez " + head + b"\r\n") * 2, {200}),
		("an upgrade", b"GET /livez " + head + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {200}),
		("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {0, 400, 405, 505}),
		("waits for 100", b"POST /livez " + head + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", {405}),
	]
	for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"X" * 300):
		rows.append((f"{method[:8].decode()}", method + b" /livez " + head + b"\r\n", {405}))
	return rows


def test_hostile_clients():
	one = daemon("--standalone")
	k.write(one.state_path, k.state())
	one.serving().wait_for("/readyz", 200)
	memory, files = one.memory_kib(), len(one.descriptors())
	for name, request, codes in requests():
		for finishes in (True, False):
			answer = k.parse(k.exchange(one.address, request, seconds=60, end=finishes))
			check(answer.code in codes, f"client: {name}", f"{answer} is none of {codes}")
		check(one.ask("/livez").code == 200, f"client: lives after {name}")
	head = one.ask("/readyz", "HEAD")
	good = head.code == 200 and head.body == "" and "Content-Length: 3" in head.head
	check(good, "client: HEAD", head.head + head.body)
	refused = one.ask("/metrics", "POST")
	good = refused.code == 405 and "Allow: GET, HEAD" in refused.head
	check(good, "client: 405 says what is allowed", refused.head)
	check(one.ask("/nothing").code == 404, "client: 404")
	flood = []
	for _ in range(300):  # more than there are places; the oldest give way
		flood.append(socket.create_connection(one.address, timeout=20))
	start = time.monotonic()
	answer = one.ask("/livez")
	took = time.monotonic() - start
	# Not only once the silent ones have run into the idle timeout, which takes 5 s and more.
	good = answer.code == 200 and took < 4
	check(good, "client: is answered beside 300 that say nothing", f"{answer} {took:.1f} s")
	check(len(one.descriptors()) <= files + 66, "client: descriptors have an end", len(one.descriptors()))
	for client in flood:
		client.close()
	test_slow(one)
	check(k.until(lambda: len(one.descriptors()) <= files), "client: all are closed in the end", one.descriptors())
	grown = one.memory_kib() - memory
	check(grown < 16384, "client: memory has an end", f"{grown} KiB more")
	end(one, "client")


def test_slow(one):
	"""A byte now and then, which no idle timeout ends: each connection ends all the same, the server goes on."""
	slow = [socket.create_connection(one.address, timeout=20) for _ in range(40)]
	for client in slow:
		client.sendall(b"GET /livez HTTP/1.1\r\nX: ")
	alive, start = slow, time.monotonic()
	while alive and time.monotonic() - start < 60:
		still = []
		for client in alive:
			try:
				client.sendall(b"x")
				client.setblocking(False)
				try:
					if client.recv(100) != b"":
						still.append(client)
				except BlockingIOError:
					still.append(client)
				client.setblocking(True)
			except OSError:
				pass
		alive = still
		check(one.ask("/livez").code == 200, "slow: others are served")
		time.sleep(0.5)
	check(not alive, "slow: none holds on", f"{len(alive)} after {time.monotonic() - start:.0f} s")
	for client in slow:
		client.close()


def test_end_with_clients():
	one = daemon("--standalone").serving()
	idle = [socket.create_connection(one.address) for _ in range(5)]
	idle[0].sendall(b"GET /livez HTTP/1.1\r\n")
	one.ask("/livez")
	end(one, "end with clients")
	for client in idle:
		client.close()


# ---- bad input ----

def fails(name, arguments, environment, status, *texts):
	folder = tempfile.mkdtemp(prefix="bad-")
	environment = dict(environment, ASAN_OPTIONS=f"log_path={folder}/asan")
	done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=60)
	lines = done.stderr.splitlines()
	good = done.returncode == status and len(lines) == 1 and not done.stdout
	good = good and all(text in lines[0] for text in texts) and json.loads(lines[0])["level"] == "error"
	check(good, f"bad: {name}",
		f"status {done.returncode}, {len(lines)} lines: {done.stderr[:600]}")
	check(not os.listdir(folder), f"bad: {name}: sanitizers", os.listdir(folder))


def test_bad_input():
	pod = {"NODE_NAME": "mine", "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
	for name, arguments, environment, status, *texts in (
		("unknown option", ["--no-such"], pod, 2, "--no-such"),
		("a word too many", ["--standalone", "run"], {}, 2, "run", "--help"),
		("address", ["--standalone", "--listen", "localhost:1"], {}, 2, "localhost:1"),
		("no node name", [], {}, 2, "NODE_NAME", "--standalone"),
		("a node name that is a path", [], dict(pod, NODE_NAME="../x"), 2, "NODE_NAME", "../x"),
		("a node name without end", [], dict(pod, NODE_NAME="x" * 5000), 2, "NODE_NAME"),
		("no API server", [], {"NODE_NAME": "mine"}, 2, "KUBERNETES_SERVICE_HOST", "--standalone"),
		("a host that is a URL", [], dict(pod, KUBERNETES_SERVICE_HOST="x/@y"), 2, "SERVICE_HOST", "x/@y"),
		("a port that is none", [], dict(pod, KUBERNETES_SERVICE_PORT="80/x"), 2, "80/x"),
	):
		fails(name, arguments, environment, status, *texts)
	for name, text, *wanted in (
		("unknown key", "desired: present\nspeed: 9\n", "config.yaml:2", "speed"),
		("wrong type", "proof:\n  allowEmulated: perhaps\n", "config.yaml:2", "allowEmulated"),
		("out of bounds", "report:\n  heartbeatSeconds: 1\n", "config.yaml:2", "heartbeatSeconds", "30"),
		("three at once", "a: 1\nb: 2\nc: 3\n", "config.yaml:1", "config.yaml:2", "config.yaml:3"),
		("no YAML", "{{{", "config.yaml"),
	):
		folder = tempfile.mkdtemp(prefix="config-")
		path = os.path.join(folder, "config.yaml")
		open(path, "w").write(text)
		fails(f"config: {name}", ["--standalone", "--config", path], {}, 1, *wanted)
	fails("config: not there", ["--standalone", "--config", "/nothing.yaml"], {}, 1, "/nothing.yaml")
	with socket.create_server(("127.0.0.1", 0)) as taken:
		address = "127.0.0.1:%d" % taken.getsockname()[1]
		fails("address in use", ["--standalone", "--listen", address], {}, 1, address, "in use", "--listen")
	for word, text in (("--help", "usage: kontaind"), ("--version", "kontaind ")):
		done = subprocess.run([PROGRAM, word], env={}, capture_output=True, text=True, timeout=60)
		check(done.returncode == 0 and text in done.stdout and not done.stderr, f"bad: {word}", done)
