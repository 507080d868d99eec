"""Stand-ins for the API server, each with one vice. A real kube-apiserver tells no lies and breaks no protocol, so what
kontaind does with one that does cannot be asked of it; what an honest one makes of the reports is tests/kube/report's
matter, which starts the real program."""
import gzip
import json
import os
import socket
import ssl
import subprocess
import threading
import time

NODE = "mine"


def make_certificates(folder):
	"""Two CAs; a server's certificate of each for 127.0.0.1, and one of the first for another name."""
	def openssl(*words):
		subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)
	for name in ("ca", "wrong-ca"):
		openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
			"-keyout", f"{name}.key", "-out", f"{name}.crt")
	for name, authority, subject in (("good", "ca", "IP:127.0.0.1"), ("foreign", "wrong-ca", "IP:127.0.0.1"),
			("elsewhere", "ca", "DNS:elsewhere.example,IP:127.0.0.9")):
		with open(os.path.join(folder, f"{name}.ext"), "w") as file:
			file.write(f"subjectAltName={subject}\n")
		openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
			"-out", f"{name}.csr")
		openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
			"-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")


class Server:
	"""One thread a connection; answer(server, connection, request) writes whatever it likes. A request is
	{"line", "token", "body"}."""

	def __init__(self, folder, answer, certificate="good", tls=True, old_tls=False, address="127.0.0.1"):
		self.answer, self.requests, self.connections, self.is_over = answer, [], 0, False
		self.tokens = None  # None: any is good
		self.watch, self.watches = honest_watch, []  # watch(server, connection, request); those that were asked for
		self.node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE, "labels": {"team": "blue"}},
			"spec": {}, "status": {"conditions": []}}
		self.context = None
		if tls:
			self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
			if old_tls:  # SECLEVEL=0: OpenSSL 3 offers no TLS 1.1 otherwise
				self.context.set_ciphers("ALL:@SECLEVEL=0")
				self.context.minimum_version = ssl.TLSVersion.TLSv1
				self.context.maximum_version = ssl.TLSVersion.TLSv1_1
			self.context.load_cert_chain(f"{folder}/{certificate}.crt", f"{folder}/{certificate}.key")
		self.listener = socket.create_server((address, 0))
		self.port = self.listener.getsockname()[1]
		threading.Thread(target=self.accept, daemon=True).start()

	def accept(self):
		while not self.is_over:
			try:
				connection, _ = self.listener.accept()
			except OSError:
				return
			self.connections += 1
			threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

	def serve(self, connection):
		connection.settimeout(60)
		try:
			if self.context:
				connection = self.context.wrap_socket(connection, server_side=True)
			while request := read_request(connection):
				if "?watch=1&" in request["line"]:
					self.watches.append(time.monotonic())
					self.watch(self, connection, request)
					break
				self.requests.append(request)
				if self.answer(self, connection, request) is False:
					break
		except (OSError, ssl.SSLError, ValueError):
			pass
		finally:
			connection.close()

	def count_revision(self):
		metadata = self.node["metadata"]
		metadata["resourceVersion"] = str(int(metadata.get("resourceVersion", 1)) + 1)

	def change(self, **labels):
		"""What somebody else does to the node; None takes a label away."""
		merge(self.node, {"metadata": {"labels": labels}})
		self.count_revision()

	def label(self):
		return self.node["metadata"]["labels"].get("kontain.app/km")

	def close(self):
		self.is_over = True
		self.listener.close()


def read_request(connection):
	got = b""
	while b"\r\n\r\n" not in got:
		chunk = connection.recv(65536)
		if not chunk:
			return None
		got += chunk
	head, _, body = got.partition(b"\r\n\r\n")
	fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
	while len(body) < int(fields.get("Content-Length", 0)):
		body += connection.recv(65536)
	token = fields.get("Authorization", "").removeprefix("Bearer ")
	return {"line": head.decode().split("\r\n")[0], "token": token,
		"type": fields.get("Content-Type", ""), "agent": fields.get("User-Agent", ""), "body": body.decode()}


def reply(connection, code, body, head="Content-Type: application/json\r\n"):
	body = body if isinstance(body, bytes) else body.encode()
	connection.sendall(f"HTTP/1.1 {code} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def merge(into, patch):
	for key, value in patch.items():
		if value is None:
			into.pop(key, None)
		elif isinstance(value, dict):
			merge(into.setdefault(key, {}), value)
		else:
			into[key] = value


def honest(server, connection, request):
	"""As much of an API server as these tests need: one node, tokens, the patches."""
	if server.tokens is not None and request["token"] not in server.tokens:
		return reply(connection, 401, json.dumps({"kind": "Status", "message": "Unauthorized"}))
	if request["type"] == "application/merge-patch+json":
		merge(server.node, json.loads(request["body"]))
		server.count_revision()
	elif request["type"] == "application/strategic-merge-patch+json":
		for change in json.loads(request["body"])["status"]["conditions"]:
			rest = [c for c in server.node["status"]["conditions"] if c["type"] != change["type"]]
			server.node["status"]["conditions"] = rest + ([] if "$patch" in change else [change])
		server.count_revision()
	return reply(connection, 200, json.dumps(server.node))


# ---- watches ----

def begin_watch(connection):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")


def send_chunk(connection, body):
	connection.sendall(b"%x\r\n%s\r\n" % (len(body), body))


def send_event(server, connection, kind, node=None):
	send_chunk(connection, json.dumps({"type": kind, "object": node or server.node}).encode() + b"\n")


def honest_watch(server, connection, request):
	if server.tokens is not None and request["token"] not in server.tokens:
		return reply(connection, 401, json.dumps({"kind": "Status", "message": "Unauthorized"}))
	begin_watch(connection)
	send_event(server, connection, "ADDED")
	last = json.dumps(server.node)
	while not server.is_over:
		time.sleep(0.02)
		now = json.dumps(server.node)
		if now != last:
			send_event(server, connection, "MODIFIED", json.loads(now))
			last = now


def watch_410(server, connection, request):
	begin_watch(connection)
	send_event(server, connection, "ADDED")
	send_event(server, connection, "ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
	connection.sendall(b"0\r\n\r\n")


def watch_http_410(server, connection, request):
	reply(connection, 410, json.dumps({"kind": "Status", "code": 410, "message": "too old resource version"}))


def watch_line(server, connection, request):
	begin_watch(connection)
	send_event(server, connection, "ADDED")
	for _ in range(16384):  # 1 GiB, were it read
		send_chunk(connection, b"x" * 65536)


def watch_large_nodes(server, connection, request):
	"""Each event is a whole Node that is larger than what is taken."""
	begin_watch(connection)
	large = dict(server.node, metadata=dict(server.node["metadata"], annotations={"big": "y" * (3 << 20)}))
	while not server.is_over:
		send_event(server, connection, "MODIFIED", large)


def watch_garbage(server, connection, request):
	begin_watch(connection)
	send_chunk(connection, bytes(range(256)) * 64)


def watch_drop(server, connection, request):
	begin_watch(connection)
	send_event(server, connection, "ADDED")


def watch_torn(server, connection, request):
	begin_watch(connection)
	send_chunk(connection, b'{"type":"ADDED","object":{"kind":"Node","metadata":{"name":"mi')


def watch_silence(server, connection, request):
	begin_watch(connection)
	send_event(server, connection, "ADDED")
	while not server.is_over:
		time.sleep(0.1)


def watch_no_head(server, connection, request):
	while not server.is_over:
		time.sleep(0.1)


def watch_another(server, connection, request):
	begin_watch(connection)
	send_event(server, connection, "ADDED", dict(server.node, metadata={"name": "other", "labels": {}}))
	time.sleep(1)


def watch_lies(server, connection, request):
	"""The node comes and goes and is stripped of its labels, thousands of times a second."""
	begin_watch(connection)
	for i in range(10**9):
		metadata = {"name": NODE, "uid": f"u{i // 2}", "labels": {}, "resourceVersion": str(i)}
		send_event(server, connection, "DELETED" if i % 2 else "ADDED", dict(server.node, metadata=metadata))


def watch_429(server, connection, request):
	return plain_429(server, connection, request)


def watch_echo(server, connection, request):
	return echo(server, connection, request)


def watch_500(server, connection, request):
	return html_500(server, connection, request)


def flood(connection, first, more):
	connection.sendall(first)
	sent = 0
	while sent < 256 << 20:
		connection.sendall(more)
		sent += len(more)


def garbage(server, connection, request):
	connection.sendall(bytes(range(256)) * 64)
	return False


def plain_429(server, connection, request):
	return reply(connection, 429, "Too many requests, please try again later.\n",
		"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n")


def html_500(server, connection, request):
	return reply(connection, 500, "<html>\x1b[2J\nInternal</html>", "Content-Type: text/html\r\n")


def endless_body(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		b"10000\r\n" + b" " * 65536 + b"\r\n")


def endless_line(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536)


def endless_headers(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\n", b"".join(b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(64)))


def large_claim(server, connection, request):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n" + b" " * 4096)
	return False


def silence(server, connection, request):
	while not server.is_over:
		time.sleep(0.1)


def drip(server, connection, request):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
	while not server.is_over:
		connection.sendall(b" ")
		time.sleep(0.3)


def deep(server, connection, request):
	return reply(connection, 200, "[" * 90000)


def dense(server, connection, request):
	return reply(connection, 200, '{"kind":"Node","x":[' + "[]," * 300000 + "0]}")


def another_node(server, connection, request):
	return reply(connection, 200, json.dumps(dict(server.node, metadata={"name": "other"})))


def a_list(server, connection, request):
	return reply(connection, 200, json.dumps({"kind": "NodeList", "items": [server.node]}))


def echo(server, connection, request):
	return reply(connection, 403, json.dumps({"kind": "Status", "message": f"no right for {request['token']}"}))


def compressed(server, connection, request):
	return reply(connection, 200, gzip.compress(json.dumps(server.node).encode()), "Content-Encoding: gzip\r\n")


def switching(server, connection, request):
	connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n{}")
	return False


def refuses_writes(server, connection, request):
	if request["line"].startswith("GET"):
		return reply(connection, 200, json.dumps(server.node))
	return reply(connection, 403, json.dumps({"kind": "Status", "message": "nodes is forbidden"}))


def keeps_nothing(server, connection, request):
	return reply(connection, 200, json.dumps(server.node))


def redirect_to(port):
	def redirect(server, connection, request):
		return reply(connection, 307, "", f"Location: https://127.0.0.2:{port}/api/v1/nodes/{NODE}\r\n")
	return redirect
