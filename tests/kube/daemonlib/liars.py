"""API servers that lie, tokens that change, an address where nobody is."""
import os
import socket
import ssl
import threading
import time
import warnings

import apiserver
import kontaind as k
from checks import UNFIT, check, daemon, end, skip

SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKENS = ["eyJ-first-token-of-the-test", "eyJ-second-token-of-the-test", "eyJ-third-token-of-the-test"]

# ---- API servers that lie ----

trap = None  # a proxy that the environment names, and that nobody may ask


def set_trap():
	global trap
	trap = socket.create_server(("127.0.0.3", 0))
	trap.setblocking(False)


def is_trap_silent():
	try:
		trap.accept()
		return False
	except BlockingIOError:
		return True


class Pod:
	"""A kontaind that reports to one stand-in, in an environment that would lead curl and OpenSSL astray."""

	def __init__(self, server, folder, state=None):
		self.server = server
		proxy = f"http://127.0.0.3:{trap.getsockname()[1]}"
		environment = {"NODE_NAME": apiserver.NODE, "KUBERNETES_SERVICE_HOST": "127.0.0.1",
			"KUBERNETES_SERVICE_PORT": str(server.port), "https_proxy": proxy, "HTTPS_PROXY": proxy,
			"ALL_PROXY": proxy, "SSL_CERT_FILE": f"{folder}/wrong-ca.crt", "SSL_CERT_DIR": folder,
			"CURL_CA_BUNDLE": f"{folder}/wrong-ca.crt", "OPENSSL_CONF": f"{folder}/no-such.cnf",
			"SSLKEYLOGFILE": f"{folder}/keys", "HOME": folder, "CURL_HOME": folder}
		self.daemon = daemon("--config", f"{folder}/config.yaml", environment=environment)
		k.write(self.daemon.state_path, state or k.state())


def put_secret(name, text):
	k.write(os.path.join(SECRETS, name), text.encode())


LIARS = (  # name, the stand-in's vice, how it is set up, a part of what /readyz/report says
	("garbage", apiserver.garbage, {}, "does not answer"),
	("429 in plain text", apiserver.plain_429, {}, "answers 429 to GET: Too many requests"),
	("500 in HTML", apiserver.html_500, {}, "answers 500 to GET: <html>?[2J"),
	("endless body", apiserver.endless_body, {}, "larger than 2 MiB"),
	("endless line", apiserver.endless_line, {}, "does not answer"),
	("endless headers", apiserver.endless_headers, {}, "larger than"),
	("1 TiB promised", apiserver.large_claim, {}, "does not answer"),
	("silence", apiserver.silence, {}, "does not answer"),
	("silence below TLS", apiserver.silence, {"tls": False}, "does not answer"),
	("plain HTTP", apiserver.honest, {"tls": False}, "does not answer"),
	("a drip", apiserver.drip, {}, "does not answer"),
	("nested deep", apiserver.deep, {}, "is not JSON"),
	("dense", apiserver.dense, {}, "has too many values"),
	("another node", apiserver.another_node, {}, "is not node mine"),
	("a list", apiserver.a_list, {}, "is not node mine"),
	("compressed", apiserver.compressed, {}, "is not JSON"),
	("another protocol", apiserver.switching, {}, "answers 101"),
	("the token said back", apiserver.echo, {}, "no right for ****"),
	("every write refused", apiserver.refuses_writes, {}, "answers 403 to PATCH"),
	("nothing kept", apiserver.keeps_nothing, {}, "does not keep what is written"),
	("a foreign CA", apiserver.honest, {"certificate": "foreign"}, "does not answer"),
	("another's certificate", apiserver.honest, {"certificate": "elsewhere"}, "does not answer"),
)


def test_liars(folder):
	pods = []
	for name, vice, setup, text in LIARS:
		server = apiserver.Server(folder, vice, **setup)
		pods.append((name, text, Pod(server, folder)))
	elsewhere = apiserver.Server(folder, apiserver.honest, address="127.0.0.2")
	redirecting = apiserver.Server(folder, apiserver.redirect_to(elsewhere.port))
	pods.append(("a redirect", "answers 307", Pod(redirecting, folder)))
	old = apiserver.Server(folder, apiserver.honest, old_tls=True)
	if speaks_old_tls(old.port):
		pods.append(("TLS 1.1", "does not answer", Pod(old, folder)))
	else:
		skip("liar: TLS 1.1", "this Python's OpenSSL cannot serve it")
	for name, text, pod in pods:
		one = pod.daemon.serving()
		good, last = one.wait_for("/readyz/report", 503, text)
		check(good, f"liar: {name}", last)
		live = one.ask("/livez")
		check(live.code == 200, f"liar: {name}: lives", live)
		check(one.ask("/readyz/km").code == 200, f"liar: {name}: knows its node all the same")
		bodies = one.ask("/readyz?verbose").body + one.ask("/metrics").body
		check(not any(token in bodies for token in TOKENS), f"liar: {name}: the token is not served", bodies)
		check("kontaind_api_requests_total{" in bodies, f"liar: {name}: is counted", bodies)
		# Address sanitizer keeps what was freed, so that this bound is a loose one.
		check(one.memory_kib() < 400 * 1024, f"liar: {name}: memory has an end", f"{one.memory_kib()} KiB")
	for name, text, pod in pods:
		if name in ("a foreign CA", "another's certificate", "TLS 1.1", "plain HTTP", "silence below TLS"):
			sent = [request["token"] for request in pod.server.requests]
			check(not any(sent), f"liar: {name}: gets no token", sent)
	check(elsewhere.connections == 0, "liar: nobody follows a redirect", elsewhere.connections)
	check(is_trap_silent(), "liar: no proxy of the environment is asked")
	check(not os.path.exists(f"{folder}/keys"), "liar: no TLS keys are written where the environment says")
	for name, text, pod in pods:
		if name in ("silence", "silence below TLS", "a drip"):
			end(pod.daemon, f"liar: {name}: with a request in flight")
	heal([row for row in pods if row[2].daemon.process.poll() is None and row[2].server.context])
	for name, text, pod in pods:
		if pod.daemon.process.poll() is None:
			end(pod.daemon, f"liar: {name}")
		pod.server.close()


def heal(pods):
	"""The servers come to their senses: a true report is there by itself. (What is wrong in TLS stays wrong.)"""
	pods = [row for row in pods if row[2].server.answer is not apiserver.honest]
	for name, text, pod in pods:
		pod.server.answer = apiserver.honest
		if name == "nothing kept":  # tried again at the heartbeat, or when there is news
			k.write(pod.daemon.state_path, k.state(versions={"previous": "0.8"}))
	for name, text, pod in pods:
		good, last = pod.daemon.wait_for("/readyz/report", 200, seconds=k.HEAL_S)
		check(good, f"liar: {name}: heals", last)
		label = pod.server.node["metadata"]["labels"].get("kontain.app/km")
		check(label == "true", f"liar: {name}: reports the truth", pod.server.node)


# ---- watches that lie, of a server that is honest otherwise ----

WATCH_S = 20
WATCHES = (  # name, the watch's vice, a part of what the log says (None: nothing need be said), most watches in WATCH_S
	("410 without end", apiserver.watch_410, "ends the watch with 410: too old resource version", 8),
	("410 as an answer", apiserver.watch_http_410, "answers 410 to WATCH: too old resource version", 8),
	("a line of 1 GiB", apiserver.watch_line, "is larger than 2 MiB", 8),
	("large nodes", apiserver.watch_large_nodes, "is larger than 2 MiB", 8),
	("garbage", apiserver.watch_garbage, "is not JSON", 8),
	("drops", apiserver.watch_drop, "does not answer", 8),
	("torn", apiserver.watch_torn, "does not answer", 8),
	("silence", apiserver.watch_silence, None, 1),
	("no head", apiserver.watch_no_head, None, 1),
	("another node", apiserver.watch_another, "is not node mine", 8),
	("429 in plain text", apiserver.watch_429, "answers 429 to WATCH: Too many requests", 20),
	("500 in HTML", apiserver.watch_500, "answers 500 to WATCH: <html>?[2J", 8),
	("the token said back", apiserver.watch_echo, "answers 403 to WATCH: no right for ****", 1),
	("a node that comes and goes", apiserver.watch_lies, "has more than 600 events a minute", 8),
)


def test_watches(folder):
	"""A watch that lies costs little, is told, stops no report, and an honest one after it is found by itself."""
	put_secret("token", TOKENS[0])
	pods = []
	for name, vice, text, most in WATCHES:
		server = apiserver.Server(folder, apiserver.honest)
		server.watch = vice
		pods.append((name, text, most, Pod(server, folder)))
	for name, text, most, pod in pods:
		pod.daemon.serving()
	for name, text, most, pod in pods:
		name, server, one = f"watch: {name}", pod.server, pod.daemon
		check(one.wait_for("/readyz/km", 200)[0], f"{name}: serves")
		check(k.until(lambda: server.label() == "true"), f"{name}: reports", server.node)
		check(k.until(lambda: server.watches), f"{name}: is asked for a watch")
		if text:
			check(one.wait_for_line("not watching the node: what others change is found at the heartbeat", err=text),
				f"{name}: is told", one.text())
	for name, text, most, pod in pods:
		rest = pod.server.watches[0] + WATCH_S - time.monotonic()
		time.sleep(max(0, rest))
		watches = [at for at in pod.server.watches if at <= pod.server.watches[0] + WATCH_S]
		check(len(watches) <= most, f"watch: {name}: no storm of watches", len(watches))
		check(len(pod.server.requests) <= 60, f"watch: {name}: no storm of requests", len(pod.server.requests))
		told = [line for line in pod.daemon.lines() if line["msg"].startswith("not watching")]
		check(len(told) <= 2, f"watch: {name}: told once a cause", told)
		memory = pod.daemon.memory_kib()
		check(memory < 400 * 1024, f"watch: {name}: memory has an end", f"{memory} KiB")
		print(f"watch: {name}: {len(watches)} watches, {len(pod.server.requests)} requests, {memory} KiB", flush=True)
		bodies = pod.daemon.ask("/readyz?verbose").body + pod.daemon.ask("/metrics").body + pod.daemon.text()
		check(not any(token in bodies for token in TOKENS), f"watch: {name}: the token is not served", bodies)
		k.write(pod.daemon.state_path, k.state(node=UNFIT))
	for name, text, most, pod in pods:
		if pod.server.watch is apiserver.watch_lies:  # held back as one that does not keep what is written
			continue
		check(k.until(lambda: pod.server.label() == "false"), f"watch: {name}: stops no report", pod.server.node)
	heal_watches([row for row in pods if row[3].server.watch not in (apiserver.watch_silence, apiserver.watch_no_head,
		apiserver.watch_echo, apiserver.watch_lies)])
	for name, text, most, pod in pods:
		end(pod.daemon, f"watch: {name}")
		pod.server.close()


def heal_watches(pods):
	for name, text, most, pod in pods:
		pod.server.watch = apiserver.honest_watch
	for name, text, most, pod in pods:
		# After a line that is too long the pause grows to a heartbeat.
		good, last = pod.daemon.wait_for("/metrics", 200, "kontaind_watch_up 1", seconds=k.HEAL_S)
		check(good, f"watch: {name}: heals", last)
		pod.server.change(**{"kontain.app/km": None})
		start = time.monotonic()
		check(k.until(lambda: pod.server.label() == "false"), f"watch: {name}: puts back what is removed")
		check(time.monotonic() - start < 1, f"watch: {name}: within a second", time.monotonic() - start)


def speaks_old_tls(port):
	try:
		warnings.simplefilter("ignore", DeprecationWarning)  # it is old on purpose
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
		context.set_ciphers("ALL:@SECLEVEL=0")
		context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
		with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20)) as client:
			return client.version() == "TLSv1.1"
	except (OSError, ValueError):
		return False


def test_tokens(folder):
	"""The token is read anew for each request; after a 401 once more, at once, for what the file has then."""
	put_secret("token", TOKENS[0])
	server = apiserver.Server(folder, apiserver.honest)
	server.tokens = {TOKENS[1]}

	def rotates(server, connection, request):
		if request["token"] == TOKENS[0]:
			put_secret("token", TOKENS[1])
		return apiserver.honest(server, connection, request)
	server.answer = rotates
	one = Pod(server, folder).daemon.serving()
	good, last = one.wait_for("/readyz", 200)
	check(good, "token: a renewed one is found", last)
	check([r["token"] for r in server.requests[:2]] == TOKENS[:2], "token: by one more try", server.requests)
	check('code="401"} 1\n' in one.ask("/metrics").body, "token: one 401", one.ask("/metrics").body)
	check(server.requests[0]["agent"].startswith("kontaind/"), "token: says who it is", server.requests[0])
	server.answer, server.tokens = apiserver.honest, {TOKENS[2]}
	put_secret("token", TOKENS[2])
	k.write(one.state_path, k.state(node=UNFIT))
	check(k.until(lambda: server.node["metadata"]["labels"].get("kontain.app/km") == "false"),
		"token: rotated between two reports", server.requests[-1])
	check('code="401"} 1\n' in one.ask("/metrics").body, "token: no further 401", one.ask("/metrics").body)
	server.tokens = set()
	k.write(one.state_path, k.state())
	good, last = one.wait_for("/readyz/report", 503, "answers 401")
	check(good, "token: a bad one is told", last)
	os.unlink(os.path.join(SECRETS, "token"))
	good, last = one.wait_for("/readyz/report", 503, "serviceaccount/token")
	check(good, "token: none is told", last)
	server.tokens = {TOKENS[0]}
	put_secret("token", TOKENS[0])
	good, last = one.wait_for("/readyz", 200, seconds=k.HEAL_S)
	check(good, "token: a good one heals", last)
	end(one, "token")
	server.close()


def test_away(folder):
	"""Nobody at the address: told once, tried for ever, and found when it is there again."""
	server = apiserver.Server(folder, apiserver.honest)
	one = Pod(server, folder).daemon.serving()
	check(one.wait_for("/readyz", 200)[0], "away: reported at first", one.text())
	server.listener.close()
	server.answer = lambda *_: False
	k.write(one.state_path, k.state(node=UNFIT))
	check(one.wait_for_line("not reported"), "away: is told", one.text())
	time.sleep(8)
	told = [line for line in one.lines() if line["msg"] == "not reported"]
	check(len(told) <= 3, "away: told once a cause", told)
	check(one.ask("/readyz").code == 503, "away: a verdict that is not reported is no readiness")
	again = apiserver.Server.__new__(apiserver.Server)
	again.__dict__.update(server.__dict__, answer=apiserver.honest, is_over=False)
	again.listener = socket.create_server(("127.0.0.1", server.port))
	threading.Thread(target=again.accept, daemon=True).start()
	good, last = one.wait_for("/readyz/report", 200, seconds=k.HEAL_S)
	check(good, "away: reports when it is there again", last)
	check(again.node["metadata"]["labels"]["kontain.app/km"] == "false", "away: the truth", again.node)
	end(one, "away")
	again.close()
