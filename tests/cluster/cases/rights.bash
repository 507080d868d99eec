# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: what each half could do if it were taken over, asked of the two that run on node a.

# ---- the networked half: its token ----

# token NODE: the one that the pod there has been given
token() {
	enter "$1" cat "/var/lib/kubelet/pods/$(pod "$1" .metadata.uid)/volumes/kubernetes.io~projected/token/token"
}

# request TOKEN METHOD PATH TYPE BODY: the code, then the server's answer in one line
request() {
	on_network a curl -s -A kontaind/0 --cacert "$lab/pki/ca.crt" -X "$2" -H "Authorization: Bearer $1" \
		-H "Content-Type: $4" ${5:+--data-binary "$5"} -w '\n%{http_code}' "https://${node_address[a]}:6443$3?dryRun=All" |
		awk '{ lines[NR] = $0 } END { printf "%s ", lines[NR]; for (i = 1; i < NR; i++) printf "%s", lines[i]; print "" }'
}

case_token() {
	local name who asked type want body method path answer wrong=0 count=0
	local -A tokens=([a]=$(token a) [b]=$(token b) [-]=$(in_pods create token kontaind)) \
		types=([merge]=application/merge-patch+json
		[strategic]=application/strategic-merge-patch+json [-]=application/json)
	while IFS='|' read -r name who asked type want body; do
		read -r method path <<<"$asked"
		want=${want%"${want##*[! ]}"}
		body=${body/LONG/$(printf 'x%.0s' $(seq 300))}
		answer=$(request "${tokens[$who]}" "$method" "$path" "${types[${type// /}]}" "$body")
		count=$((count + 1))
		if [[ $answer != "${want%% *} "* || $answer != *"${want#* }"* ]]; then
			echo "$name: ${answer:0:400}, and should be $want"
			wrong=1
		fi
	done < <(grep -v '^#' "$here/cases/token")
	[ $count -gt 20 ] || { echo "only $count rows were read"; exit 1; }
	note "$count requests by the pods' own tokens"
	for name in kontaind-own-node kontaind-own-events; do
		is "the type checker of policy $name" "[]" "$(kube get validatingadmissionpolicy "$name" -o json |
			jq -c '.status.typeChecking.expressionWarnings // []')"
	done
	return $wrong
}

# ---- the networked half: its process ----

# landlock_of CONTAINER: what its log says
landlock_of() { in_pods logs "$(pod a)" -c "$1" | grep -o '"landlock":"[^"]*"' | head -1; }

status_of() { enter a sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

case_networked_half() {
	local pid field
	pid=$(process a kontaind)
	note "resident: kontaind $(status_of "$pid" VmRSS)"
	is "its user" "65532 65532 65532 65532" "$(status_of "$pid" Uid | xargs)"
	for field in CapInh CapPrm CapEff CapBnd CapAmb; do
		is $field 0000000000000000 "$(status_of "$pid" $field)"
	done
	is NoNewPrivs 1 "$(status_of "$pid" NoNewPrivs)"
	is Seccomp 2 "$(status_of "$pid" Seccomp)"
	# the runtime's filter and ours
	is "its filters" 2 "$(status_of "$pid" Seccomp_filters)"
	# its runtime's profile must not keep it from what the kernel has
	is "its Landlock" "$(landlock_of installer)" "$(landlock_of kontaind)"
	is "the host's folders" "" "$(enter a cut -d' ' -f5 "/proc/$pid/mountinfo" | grep '^/host')"
	is "its root is writable" no "$(enter a grep -q ' / / rw' "/proc/$pid/mountinfo" && echo yes || echo no)"
	is "the state is writable for it" no "$(enter a awk '$5 == "/run/kontain" { print $6 }' "/proc/$pid/mountinfo" |
		grep -qw rw && echo yes || echo no)"
}

# ---- the privileged half ----

# Linux has 41 capabilities; these are what confine.c keeps of them: see its table.
kept_capabilities='chown dac_override fowner kill mknod setgid setuid setpcap sys_admin sys_module sys_ptrace'

capabilities_of() {
	capsh --decode="$(status_of "$1" CapEff)" | sed 's/.*=//; s/cap_//g' | tr ',' '\n' | sort | xargs
}

inside() { enter a "$work/inside" "$@"; }

# The agent's other process, which looks and decides, and asks the one that was started for verbs.
head_of() {
	enter a bash -c 'for one in $(cat /proc/$0/task/*/children); do
		[ "$(cat "/proc/$one/comm")" = kontain-agent ] && echo "$one"
	done' "$1"
}

case_head() {
	local pid head field call got
	pid=$(process a kontain-installer)
	head=$(head_of "$pid")
	note "resident: kontain-agent $(status_of "$head" VmRSS)"
	for field in CapInh CapBnd CapAmb; do
		is $field 0000000000000000 "$(status_of "$head" $field)"
	done
	is "its capability" "$(landlock_of installer | grep -q none || echo dac_read_search)" \
		"$(capabilities_of "$head")"
	is NoNewPrivs 1 "$(status_of "$head" NoNewPrivs)"
	is Seccomp 2 "$(status_of "$head" Seccomp)"
	for call in 165 272 59 56 101; do # mount, unshare, execve, clone, ptrace
		until got=$(inside "$head" $call 17 2>&1); [ $? != 3 ]; do sleep 0.1; done
		is "call $call from inside" ENOSYS "$got"
	done
	note "its confinement: $(landlock_of installer)"
	if [[ $(landlock_of installer) == *ABI* ]]; then
		until got=$(inside "$head" openat -100 @/host/etc/shadow 0 2>&1); [ $? != 3 ]; do sleep 0.1; done
		is "the host's secrets" EACCES "$got"
	fi
	is "it goes on" "$head" "$(head_of "$(process a kontain-installer)")"
}

# system call | its number (x86-64) | arguments | what must come of it
call_table() {
	cat <<-'E'
		getppid to see that asking works |110|              |0
		socket AF_INET                   |41 |2 1 0         |EPERM
		socket AF_INET6                  |41 |10 2 0        |EPERM
		socket AF_PACKET                 |41 |17 3 0        |EPERM
		socket AF_VSOCK                  |41 |40 1 0        |EPERM
		socket AF_NETLINK route          |41 |16 3 0        |EPERM
		setns                            |308|3 0           |EPERM
		ptrace                           |101|16 1 0 0      |EPERM
		pidfd_getfd                      |438|3 3 0         |EPERM
		process_vm_writev                |311|1 0 0 0 0 0   |EPERM
		io_uring_setup                   |425|1 0           |EPERM
		bpf                              |321|0 0 0         |EPERM
		open_by_handle_at                |304|3 0 0         |EPERM
		delete_module                    |176|0 0           |EPERM
	E
}

case_privileged_half() {
	local pid name number arguments want got ours others
	pid=$(process a kontain-installer)
	note "resident: kontain-installer $(status_of "$pid" VmRSS)"
	is NoNewPrivs 1 "$(status_of "$pid" NoNewPrivs)"
	is Seccomp 2 "$(status_of "$pid" Seccomp)"
	is capabilities "$(tr ' ' '\n' <<<"$kept_capabilities" | sort | xargs)" "$(capabilities_of "$pid")"
	is "network interfaces" lo "$(enter a sed -n '3,$s/:.*//p' "/proc/$pid/net/dev" | xargs)"
	is "lo is up" no "$(enter a nsenter -t "$pid" -n ip -br link show up | grep -q . && echo yes || echo no)"
	ours=$(enter a readlink "/proc/$pid/ns/net")
	others=$(enter a readlink "/proc/$(process a kontaind)/ns/net")
	[ "$ours" != "$others" ] || { echo "both halves are in one network namespace"; exit 1; }
	# Root of the node finds every pod's below /host; its own it has not been given.
	is "a token in its mounts" "" "$(enter a cat "/proc/$pid/mountinfo" | grep -v ' /host/' |
		grep -E 'serviceaccount|token')"
	is "a token at the usual place" no "$(enter a test -e "/proc/$pid/root/var/run/secrets" && echo yes || echo no)"
	is "sockets" "" "$(enter a find "/proc/$pid/fd" -lname 'socket:*')"
	# The host's own /proc came along with its /, and lies under it.
	is "/host/proc, what is on top" ro "$(enter a awk '$5 == "/host/proc" { print substr($6, 1, 2) }' \
		"/proc/$pid/mountinfo" | tail -1)"
	while IFS='|' read -r name number arguments want; do
		# shellcheck disable=SC2086 # one argument a word
		until got=$(inside "$pid" ${number// /} $arguments 2>&1); [ $? != 3 ]; do sleep 0.1; done
		is "$name from inside" "$want" "$got"
	done < <(call_table)
	is "it goes on" "$pid" "$(process a kontain-installer)"
	comes 20 "a's /readyz" answers a /readyz 200 ok
}
