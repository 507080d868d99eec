"""The watch on the own node: against a stand-in that keeps a watch as an API server does, and against each vice that a
watch may have. tests/kube/report asks the real one."""
import copy
import json
import queue
import threading
import time

import apiserver
import kontaind as k
from checks import check, daemon, end

LABEL = "kontain.app/km"


class Watched(apiserver.Server):
	"""An honest API server with versions, and a watch; watch(server, connection) is its vice, None the honest one."""

	def __init__(self, folder, watch=None):
		super().__init__(folder, answer_watched)
		self.lock = threading.RLock()
		self.version, self.is_registered = 100, True
		self.queues = []
		self.watch = watch
		self.node["metadata"]["resourceVersion"] = "100"

	def change(self, change):
		"""What somebody else does to the node; and everybody who watches is told."""
		with self.lock:
			before = copy.deepcopy(self.node)
			change(self.node)
			if self.node != before:
				self.announce("MODIFIED")

	def announce(self, kind):
		self.version += 1
		self.node["metadata"]["resourceVersion"] = str(self.version)
		for one in self.queues:
			one.put(event(kind, self.node))

	def register(self, is_registered):
		with self.lock:
			self.is_registered = is_registered
			self.node["metadata"]["labels"] = {}
			self.node["metadata"].pop("annotations", None)
			self.node["status"]["conditions"] = []
			self.announce("ADDED" if is_registered else "DELETED")

	def labels(self):
		return self.node["metadata"].get("labels", {})

	def asked(self, word):
		return [one for one in self.requests if word in one["line"]]


def event(kind, node):
	return json.dumps({"type": kind, "object": node}).encode() + b"\n"


def chunk(connection, data):
	connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))


def open_stream(connection):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")


def honest_watch(server, connection):
	mine = queue.Queue()
	with server.lock:
		if server.is_registered:
			mine.put(event("ADDED", server.node))
		server.queues.append(mine)
	open_stream(connection)
	while not server.is_over:
		try:
			chunk(connection, mine.get(timeout=0.2))
		except queue.Empty:
			pass
	return False


def answer_watched(server, connection, request):
	if "watch=1" in request["line"]:
		return (server.watch or honest_watch)(server, connection)
	with server.lock:
		if not server.is_registered:
			return apiserver.reply(connection, 404, json.dumps({"kind": "Status", "message": "not found"}))
		before = copy.deepcopy(server.node)
		if request["type"] == "application/merge-patch+json":
			patch = json.loads(request["body"])
			if "dryRun" not in request["line"]:
				apiserver.merge(server.node, patch)
		elif request["type"] == "application/strategic-merge-patch+json":
			for change in json.loads(request["body"])["status"]["conditions"]:
				kept = [c for c in server.node["status"]["conditions"] if c["type"] != change["type"]]
				server.node["status"]["conditions"] = kept + ([] if "$patch" in change else [change])
		if server.node != before:
			server.announce("MODIFIED")
		body = json.dumps(server.node)
	return apiserver.reply(connection, 200, body)


class Pod:
	def __init__(self, server):
		self.daemon = daemon("--config", "pki/config.yaml", environment={"NODE_NAME": apiserver.NODE,
			"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)})
		k.write(self.daemon.state_path, k.state())
		self.daemon.serving()


def metric(one, name):
	for line in one.ask("/metrics").body.splitlines():
		if line.startswith(name + " "):
			return float(line.split()[-1])
	return None


def test_others_are_seen(folder):
	"""A removed label, an overwritten condition, a node that is deleted and registered again: right within a second."""
	server = Watched(folder)
	one = Pod(server).daemon
	check(one.wait_for("/readyz", 200)[0], "watch: reported at first", one.text())
	check(k.until(lambda: server.queues), "watch: is opened", server.requests)
	check("resourceVersion=0" in server.asked("watch=1")[0]["line"], "watch: from what is there", server.requests)
	time.sleep(1)
	writes = len(server.asked("PATCH"))
	check(writes <= 4, "watch: its own writes come back, and are answered by none", server.asked("PATCH"))

	def second(name, change, is_right):
		server.change(change)
		check(not is_right(), f"watch: {name}: changed", server.node)
		start = time.monotonic()
		check(k.until(is_right), f"watch: {name}: put right", server.node)
		check(time.monotonic() - start < 5, f"watch: {name}: at once", time.monotonic() - start)
	second("a label", lambda node: node["metadata"]["labels"].pop(LABEL), lambda: server.labels().get(LABEL) == "true")

	def condition():
		return next((c for c in server.node["status"]["conditions"] if c["type"] == "kontain.app/KMReady"), {})
	second("a condition", lambda node: condition().update(status="False", reason="Lie"),
		lambda: condition().get("reason") == "Ready")
	check(metric(one, "kontaind_corrections_total") == 2, "watch: corrections are counted", one.ask("/metrics").body)
	check(len(one.wait_for_line("something else changed the report; putting it right") or []) == 2,
		"watch: and logged", one.text())
	before = len(server.requests)
	server.change(lambda node: node["metadata"]["labels"].update(team="red"))
	time.sleep(2)
	check(len(server.requests) == before, "watch: what is no matter of ours costs no request", server.requests[before:])
	server.register(False)
	check(one.wait_for("/readyz/report", 503)[0], "watch: a deleted node has no report", one.text())
	time.sleep(3)
	server.register(True)
	start = time.monotonic()
	check(k.until(lambda: server.labels().get(LABEL) == "true" and condition().get("reason") == "Ready"),
		"watch: a node registered again is reported again", server.node)
	check(time.monotonic() - start < 5, "watch: at once", time.monotonic() - start)
	end(one, "watch")
	server.close()


def test_no_war(folder):
	"""Somebody who removes the label each time: a few corrections, then one a minute; told, and counted."""
	server = Watched(folder)
	one = Pod(server).daemon
	check(one.wait_for("/readyz", 200)[0] and k.until(lambda: server.queues), "war: reported at first", one.text())
	until = time.monotonic() + 8
	while time.monotonic() < until:
		server.change(lambda node: node["metadata"]["labels"].pop(LABEL, None))
		time.sleep(0.05)
	writes = len(server.asked("PATCH"))
	check(writes <= 12, "war: no storm", writes)
	good, last = one.wait_for("/readyz/report", 503, "keeps changing node mine back")
	check(good, "war: is told", last)
	check(6 <= metric(one, "kontaind_corrections_total") <= 7, "war: is counted", one.ask("/metrics").body)
	good, last = one.wait_for("/readyz/report", 200, seconds=k.HEAL_S)
	check(good and server.labels().get(LABEL) == "true", "war: and after it the report is right", last)
	end(one, "war")
	server.close()


def endless_410(server, connection):
	open_stream(connection)
	gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
	chunk(connection, json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
	return False


def endless_line(server, connection):
	open_stream(connection)
	apiserver.flood(connection, b"", b"10000\r\n" + b" " * 65536 + b"\r\n")


def garbage_lines(server, connection):
	open_stream(connection)
	chunk(connection, bytes(range(256)) * 8 + b"\n")
	return False


def dense_line(server, connection):
	open_stream(connection)
	chunk(connection, b'{"type":"ADDED","object":{"kind":"Node","x":[' + b"[]," * 300000 + b"0]}}\n")
	return False


def another_node(server, connection):
	open_stream(connection)
	chunk(connection, event("MODIFIED", {"kind": "Node", "metadata": {"name": "other", "resourceVersion": "999999"}}))
	return False


def drop(server, connection):
	open_stream(connection)
	chunk(connection, event("ADDED", server.node))
	return False


def mute(server, connection):
	open_stream(connection)
	while not server.is_over:
		time.sleep(0.1)


def forbidden(server, connection):
	return apiserver.reply(connection, 403, json.dumps({"kind": "Status", "message": "cannot watch nodes"}))


def busy(server, connection):
	return apiserver.reply(connection, 429, "Too many requests.\n", "Content-Type: text/plain\r\nRetry-After: 2\r\n")


def broken(server, connection):
	return apiserver.reply(connection, 500, "<html>Internal</html>", "Content-Type: text/html\r\n")


def echo(server, connection):
	open_stream(connection)
	error = {"type": "ERROR", "object": {"message": server.requests[-1]["token"]}}
	chunk(connection, json.dumps(error).encode() + b"\n")
	return False


VICES = (("410 for ever", endless_410, "too old resource version"),
	("1 GiB in a line", endless_line, "larger than 2 MiB"),
	("garbage", garbage_lines, "not JSON"), ("dense", dense_line, "too many values"),
	("another node", another_node, "is not node mine"), ("dropped each time", drop, None), ("silence", mute, None),
	("forbidden", forbidden, "403 to WATCH"), ("429", busy, "429 to WATCH"), ("500", broken, "500 to WATCH"),
	("the token said back", echo, "****"))


def test_vices(folder):
	"""A watch that is of no use costs few requests, and the report is made all the same."""
	rows = []
	for name, vice, text in VICES:
		server = Watched(folder, vice)
		rows.append((name, text, server, Pod(server).daemon))
	time.sleep(10)
	for name, text, server, one in rows:
		good, last = one.wait_for("/readyz", 200)
		check(good, f"watch: {name}: reported all the same", last)
		check(server.labels().get(LABEL) == "true", f"watch: {name}: the truth", server.node)
		watches = len(server.asked("watch=1"))
		check(1 <= watches <= 8, f"watch: {name}: tried with patience", watches)
		check(name != "forbidden" or watches == 1, "watch: a right does not come by asking", watches)
		told = one.wait_for_line("cannot watch the node; looking at it at each heartbeat", err=text) if text else True
		check(told, f"watch: {name}: told", one.text())
		check(one.memory_kib() < 400 * 1024, f"watch: {name}: memory has an end", f"{one.memory_kib()} KiB")
	for name, text, server, one in rows:
		server.watch = None
	for name, text, server, one in rows:
		if name not in ("forbidden", "silence"):  # the next heartbeat, and after 90 s
			check(k.until(lambda: server.queues, k.HEAL_S), f"watch: {name}: heals", one.text())
	for name, text, server, one in rows:
		end(one, f"watch: {name}")
		server.close()
