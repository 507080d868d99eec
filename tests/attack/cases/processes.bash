# shellcheck shell=bash
# Who else is at work, and what our processes are given: rows 11, 12, 14, 15. Sourced by run.
# shellcheck disable=SC2154 # what tests/lib.bash and lib.bash set

# one_of_fifty N BUNDLE: an installation beside forty-nine others; its status and words are kept
one_of_fifty() {
	"$program" install --config "$(settings)" --root "$PWD/r" --bundle "$2" >"out.$1" 2>"err.$1" </dev/null
	echo $? >"status.$1"
}

case_11_fifty_at_once() {
	local b i pids=() ok=0 landed=0 locked=0
	needs_kvm || return
	b=$(packed good 1.0) || return 1
	settings >/dev/null
	for i in {1..50}; do one_of_fifty "$i" "$b" & pids+=($!); done
	wait "${pids[@]}"
	for i in {1..50}; do
		case $(<"status.$i") in
		0) landed=$((landed + 1)) ;;
		4) locked=$((locked + 1)); grep -q '^kontain-installer: Locked: ' "err.$i" || { say "run $i: $(<"err.$i")"; ok=1; } ;;
		*) say "run $i: exit $(<"status.$i"): $(<"err.$i")"; ok=1 ;;
		esac
	done
	say "$landed landed or found it landed, $locked were told to wait"
	[ $landed -ge 1 ] && [ $((landed + locked)) = 50 ] && same "$(ls r/versions/km | wc -l):$(ls r/sets)" "1:1.0" &&
		partials r && serves 1.0 && return $ok
}

# rollout_says REASON
rollout_says() { [ "$(jq -r '.rollout.reason // empty' new/state 2>/dev/null)" = "$1" ]; }
new_serves() { [ "$(jq -r '.versions.current + " " + (.node.ready | tostring)' new/state 2>/dev/null)" = "$1 true" ]; }

# A pod that is being replaced is in the midst of a proof that never ends; the next one waits, says so, and takes over.
case_11_old_pod_still_terminating() {
	local old_bundle new_bundle old new
	needs_kvm || return
	old_bundle=$(packed hangs 2.0-hangs) && new_bundle=$(packed good2 3.0) && installs 0 READY "$(packed good 1.0)" ||
		return 1
	"$program" run --config "$(settings)" --root "$PWD/r" --bundle "$old_bundle" --state "$PWD/old/state" >old.log 2>&1 \
		</dev/null & old=$!
	children+=("$old")
	until_true 120 [ -d r/sets/2.0-hangs ] || { cat old.log; return 1; }
	"$program" run --config "$(settings)" --root "$PWD/r" --bundle "$new_bundle" --state "$PWD/new/state" >new.log 2>&1 \
		</dev/null & new=$!
	children+=("$new")
	until_true 50 rollout_says Locked || { cat new.log; return 1; }
	same "$(readlink r/current)" sets/1.0 || return 1
	kill -TERM $old
	wait $old
	until_true 120 new_serves 3.0 || { cat new.log; return 1; }
	kill -TERM $new
	wait $new
	serves 3.0 # whether or not what the old one was proving is still there, unseen
}

# A guest that is in the midst of its work: its words wait in a pipe that is full.
case_12_km_replaced_while_it_runs() {
	local before pid exe
	needs_kvm || return
	installs 0 READY "$(packed good 1.0)" && mkfifo pipe || return 1
	exec 9<>pipe && head -c 65536 /dev/zero >&9 || return 1
	r/bin/km -k stderr "$KONTAIN_BUILD/tests/monitor/hello_test.km" Hello World >pipe 2>km.err & pid=$!
	children+=("$pid")
	until_true 60 grep -qs pipe_write "/proc/$pid/wchan" ||
		until_true 5 [ "$(readlink /proc/$pid/exe)" = "$(readlink -f r/bin/km)" ] || return 1
	exe=$(readlink "/proc/$pid/exe") before=$(stat -L -c '%i %s %Y %h' "/proc/$pid/exe"; sha256sum <"/proc/$pid/exe")
	is "$exe" /versions/km/ || return 1
	# upgrade, back, and the version that it runs from damaged and landed anew: each beside it, none refused as busy
	installs 0 READY "$(packed good2 2.0)" && same "$(readlink /proc/$pid/exe)" "$exe" || return 1
	does 0 "1.0 is current" rollback --config "$(settings)" --root "$PWD/r" && rm "$(dirname "$exe")/../.files" &&
		installs 0 READY "$(packed good 1.0)" && ! grep -rqi 'text file busy' out err || return 1
	[ "$(readlink -f r/bin/km)" = "$exe" ] && [ "$(stat -L -c %i r/bin/km)" != "${before%% *}" ] ||
		{ say "the damaged version was not replaced as a whole"; return 1; }
	# the running one has its file still, unchanged but for its name
	kill -0 $pid && same "$(stat -L -c '%s %Y' "/proc/$pid/exe")" "$(cut -d' ' -f2,3 <<<"$before" | head -1)" &&
		same "$(stat -L -c %i "/proc/$pid/exe")" "${before%% *}" &&
		same "$(sha256sum <"/proc/$pid/exe")" "$(tail -1 <<<"$before")" || return 1
	# and ends its work
	head -c 65536 <&9 >/dev/null
	wait $pid || { say "km ended with $?: $(cat km.err)"; return 1; }
	IFS= read -r -t 60 words <&9 && same "$words" "Hello, world" || return 1
	exec 9<&-
	serves 1.0
}

# poisoned COMMAND...: in an environment that would have another's code loaded, another CA believed, a proxy asked
poisoned() {
	env LD_PRELOAD="$PWD/preload.so" LD_LIBRARY_PATH="$PWD/libraries" LD_AUDIT='' OPENSSL_CONF="$PWD/openssl.cnf" \
		OPENSSL_MODULES="$PWD/libraries" OPENSSL_ENGINES="$PWD/libraries" \
		SSL_CERT_FILE="$PWD/ca.crt" SSL_CERT_DIR="$PWD" CURL_HOME="$PWD" CURL_CA_BUNDLE="$PWD/ca.crt" HOME="$PWD" \
			SSLKEYLOGFILE="$PWD/keys" \
		http_proxy=http://127.0.0.9:9 https_proxy=http://127.0.0.9:9 HTTPS_PROXY=http://127.0.0.9:9 \
			ALL_PROXY=http://127.0.0.9:9 \
		MODPROBE_OPTIONS=-f GCONV_PATH="$PWD/libraries" LOCPATH="$PWD/libraries" TZDIR="$PWD" MALLOC_PERTURB_=0 \
			KONTAIN_SECRET=told PATH="$PWD/bin:$PATH" IFS=/ ENV="$PWD/rc" BASH_ENV="$PWD/rc" "$@"
}
# What the environment above names: libraries that tell who loads them, and programs that would be run.
lay_poison() {
	local name
	mkdir libraries bin
	for name in preload.so libraries/poison.so libraries/ossl-modules.so; do cp "$witness" $name; done
	cat >openssl.cnf <<-CONFIG
		openssl_conf = all
		[all]
		providers = list
		[list]
		poison = poison
		default = default
		[poison]
		module = $PWD/libraries/poison.so
		activate = 1
		[default]
		activate = 1
	CONFIG
	for name in sh modprobe km kmod; do
		printf '#!/bin/sh\necho "$0" >>%s\n' "$PWD/run.log" >bin/$name
		chmod 755 bin/$name
	done
	echo "echo rc >>$PWD/run.log" >rc
}

case_14_poisoned_environment() {
	local b ok=0
	needs_kvm || return
	lay_poison && b=$(packed good 1.0) || return 1
	# the poison works where nobody guards against it
	poisoned openssl version >/dev/null 2>&1
	grep -q openssl preload.so.log || { say "the witness does not tell"; return 1; }
	poisoned openssl dgst -sha256 openssl.cnf >/dev/null 2>&1
	grep -q . libraries/poison.so.log || { say "OPENSSL_CONF loads nothing here"; return 1; }
	rm -f preload.so.log libraries/poison.so.log run.log
	poisoned "$program" install --config "$(settings)" --root "$PWD/r" --bundle "$b" >out 2>err </dev/null ||
		{ say "$(cat out err)"; return 1; }
	poisoned "$program" run --once -q --config "$(settings)" --root "$PWD/r" --bundle "$b" --state "$PWD/state.json" >out \
		2>err </dev/null || { say "$(cat out err)"; return 1; }
	# the two that were started so, and none of the probes, landings and proofs that they started
	same "$(wc -l <preload.so.log)" 2 && same "$(cut -d' ' -f2 preload.so.log | sort -u)" "$(readlink -f "$program")" &&
		gone libraries/poison.so.log && gone run.log && gone keys || ok=1
	# km itself tells: a spy in its place
	mkdir -p t/bin && cp "$spy" t/bin/km && "$pack" --version 2.0 --output spying t >/dev/null || return 1
	poisoned "$program" install --config "$(settings)" --root "$PWD/r" --bundle "$PWD/spying" >out 2>err </dev/null
	is "$(cat err)" "env PATH=/usr/sbin:/usr/bin:/sbin:/bin; fds" && serves 1.0 && return $ok
}

case_14_poisoned_environment_of_kontaind() {
	needs openssl ip || return
	lay_poison
	unshare --net --pid --fork --kill-child --mount-proc python3 "$here/daemon_env.py" "$PWD" "$daemon" \
		"$top/tests/kube/daemonlib" >daemon.log 2>&1 || { say "$(tail -5 daemon.log)"; return 1; }
}

# descriptors PID: number and what it leads to, a line each
descriptors() { find "/proc/$1/fd" -mindepth 1 -printf '%f %l\n' 2>/dev/null | sed 's/:\[[0-9]*\]$//' | sort -n; }
# tree_of PID: it and all that it started
tree_of() { local one; echo "$1"; for one in $(pgrep -P "$1"); do tree_of "$one"; done; }
proof_hangs() {
	tree_of "$1" | while read -r one; do [ "$(cat "/proc/$one/comm" 2>/dev/null)" = km ] && echo km; done | grep -q km
}

# The parent of the installer leaves folders and a socket open; while a proof hangs, each process below tells what it
# has.
case_15_leaked_descriptors() {
	local b pid one rest ok=0 count=0
	needs_kvm || return
	b=$(packed hangs 2.0-hangs) && installs 0 READY "$(packed good 1.0)" || return 1
	"$program" run --config "$(settings)" --root "$PWD/r" --bundle "$b" \
		--state "$PWD/run/state.json" >log 2>&1 </dev/null \
		7</etc/passwd 77</ 78<>leak 199</proc & pid=$!
	children+=("$pid")
	until_true 120 proof_hangs $pid || { cat log; return 1; }
	for one in $(tree_of $pid); do
		count=$((count + 1))
		# what is declared: 0-2; pipes and pidfds to who was started; the head's own inotify and uevents; of who lands
		# the bundle, the root and its lock
		rest=$(descriptors "$one" | grep -vE "^[012] |^[0-9]+ (/dev/null|pipe|anon_inode:.*|$PWD/r|$PWD/\.r\.lock|$PWD|$b)\$")
		[ "$(cat "/proc/$one/comm")" != kontain-agent ] || rest=$(grep -v ' socket$' <<<"$rest")
		[ -z "$rest" ] || { say "$(tr '\0' ' ' <"/proc/$one/cmdline" | cut -c1-60): $rest"; ok=1; }
	done
	# agent, landing, proof, its keeper and init, km
	[ $count -ge 5 ] ||
		{ say "only $count processes were there: $(ps -o args= -p "$(tree_of $pid | paste -sd,)")"; return 1; }
	say "$count processes looked at"
	for one in $(tree_of $pid); do
		[ "$(cat "/proc/$one/comm")" != km ] ||
			{ rest=$(descriptors "$one" | grep -vE '^0 /dev/null$|^[12] pipe$|^[0-9]+ (/dev/kvm|anon_inode)'); [ -z "$rest" ] ||
			{ say "km has: $rest"; ok=1; }; }
	done
	return $ok
}

# The reader of what was written, held back while it is looked at; and km as it is started, by a spy.
case_15_descriptors_of_reader_and_km() {
	local landing reader rest ok=0
	needs strace || return
	plain_bundle b 1.0
	strace -f -qq -o trace -e trace=newfstatat -e inject=newfstatat:delay_enter=5000000:when=1 "$program" land \
		--root "$PWD/r" --bundle "$PWD/b" >said 2>&1 </dev/null 7</etc/passwd 77</ 199</proc & landing=$!
	children+=("$landing")
	reader_there() { reader=$(pgrep -P "$(pgrep -P "$landing" | head -1)" 2>/dev/null | head -1); [ -n "$reader" ] &&
		descriptors "$reader" | grep -q "^3 $PWD/r/"; }
	until_true 60 reader_there || return 1
	rest=$(descriptors "$reader" | grep -vE "^[012] |^[0-9]+ (socket|$PWD/r|$PWD/r/[^ ]*|$PWD/b|$PWD/b/[^ ]*)\$")
	[ -z "$rest" ] || { say "the reader has: $rest"; ok=1; }
	kill -9 "$(pgrep -P $landing | head -1)"
	wait $landing 2>/dev/null
	needs_kvm || return $ok
	mkdir -p t/bin && cp "$spy" t/bin/km && "$pack" --version 2.0 --output spying t >/dev/null || return 1
	"$program" install --config "$(settings)" --root "$PWD/s" --bundle "$PWD/spying" >out 2>err </dev/null 7</etc/passwd \
		77</ 199</proc
	is "$(cat err)" "fds 0=/dev/null;1=pipe;2=pipe; end" && return $ok
}
