# shellcheck shell=bash
# shellcheck disable=SC2034 # some are for the scripts that source this
# Sourced by every script here: where a lab's things lie, how to get into its nodes, and how a process of a node is
# started and ended. A lab is one folder, $lab; what is not below it (namespaces, control groups) ends with `down`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

# Nobody outside sees these addresses: every node has a network namespace of its own.
declare -A node_address=([a]=10.77.0.1 [b]=10.77.0.2) node_pods=([a]=10.88.1.0/24 [b]=10.88.2.0/24)
service_network=10.96.0.0/24 api_service=10.96.0.1

warn() { echo "${0##*/}: $*" >&2; }
fatal() { warn "$*"; exit 1; }

# elapsed SINCE: seconds with one decimal since $EPOCHREALTIME was SINCE
elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# await SECONDS COMMAND...: tries until it succeeds
await() {
	local limit=$((SECONDS + $1)); shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $limit ] || return 1
		sleep 0.1
	done
}

# open_lab FOLDER: sets $lab and what depends on it
open_lab() {
	mkdir -p "$1"
	lab=$(cd "$1" && pwd -P)
	case $lab/ in /dev/* | /proc/* | /sys/*) fatal "$lab is no place for a lab: name a folder on a disk" ;; esac
	export LAB=$lab # for ./load and ./kubectl
	group=kontain-lab-$(cksum <<<"$lab" | cut -d' ' -f1)
}

# ---- processes of this machine, by their number and the time they were started at, so that no stranger is meant ----

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# holder_of NODE: the process that made a node's namespaces and takes its process 1 along when it ends
holder_of() {
	local pid started
	read -r pid started 2>/dev/null <"$lab/$1/holder" && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# init_of NODE: the node's process 1, as this machine numbers it; fails when the node is not up
init_of() {
	local holder pid
	holder=$(holder_of "$1") || return
	# The list ends without a newline, which `read` takes for a failure.
	read -r pid _ <"/proc/$holder/task/$holder/children" || [ -n "$pid" ] && echo "$pid"
}

# enter NODE COMMAND...
enter() {
	local node=$1 pid; shift
	pid=$(init_of "$node") || fatal "node $node of $lab is not up"
	nsenter -t "$pid" -m -n -u -i -p -- "$@"
}

# on_network NODE COMMAND...: with the node's network, but this machine's files
on_network() {
	local node=$1 pid; shift
	pid=$(init_of "$node") || fatal "node $node of $lab is not up"
	nsenter -t "$pid" -n -- "$@"
}

# shellcheck disable=SC2120
kube() { on_network a "$lab/bin/kubectl" --kubeconfig "$lab/pki/admin.kubeconfig" "$@"; }

# ---- control groups: one a node, with `system` for its daemons beside the kubelet's pods ----

is_cgroup2() { [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; }

# The folders at which a hierarchy's groups are made: one with version 2, one a controller with version 1.
hierarchies() {
	if is_cgroup2; then echo /sys/fs/cgroup; else
		find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d ! -name unified
	fi
}

make_group() {
	local hierarchy folder file
	for hierarchy in $(hierarchies); do
		for folder in "$hierarchy/$1" "$hierarchy/$1/system"; do
			mkdir -p "$folder"
			# Version 1 lets nobody in before these are set.
			for file in cpuset.cpus cpuset.mems; do
				if ! is_cgroup2 && [ -e "$folder/$file" ]; then cat "$hierarchy/$file" >"$folder/$file"; fi
			done
		done
		if is_cgroup2; then
			for folder in "$hierarchy" "$hierarchy/$1"; do
				sed 's/[a-z]\+/+&/g' "$folder/cgroup.controllers" >"$folder/cgroup.subtree_control"
			done
		fi
	done
}

join_group() {
	local hierarchy
	for hierarchy in $(hierarchies); do echo "$BASHPID" >"$hierarchy/$1/system/cgroup.procs"; done
}

# A container runtime makes groups in the empty version 2 hierarchy beside version 1 too.
group_folders() { find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name "$1" 2>/dev/null; }

remove_group() {
	local folder
	for folder in $(group_folders "$1"); do find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null; done
	[ -z "$(group_folders "$1")" ]
}

# ---- daemons of a node ----

# start NODE NAME COMMAND...: in the node's namespaces and group; its log is $lab/logs/NODE.NAME
start() {
	local node=$1 name=$2 pid; shift 2
	pid=$(init_of "$node") || fatal "node $node of $lab is not up"
	rm -f "$lab/$node/$name.pid"
	(
		join_group "$group-$node"
		# $$ is the number inside: that is the one to signal, by `stop`.
		# shellcheck disable=SC2016
		exec setsid nsenter -t "$pid" -m -n -u -i -p -- bash -c 'echo $$ >"$0"; exec "$@"' \
			"$lab/$node/$name.pid" "$@" </dev/null >>"$lab/logs/$node.$name" 2>&1
	) &
	disown
	await 10 test -s "$lab/$node/$name.pid" || fatal "$name did not start on node $node: see $lab/logs/$node.$name"
}

# stop NODE NAME [SIGNAL]: and waits for its end
stop() {
	local number
	number=$(cat "$lab/$1/$2.pid") || return
	enter "$1" kill -s "${3:-TERM}" "$number" || return
	await 30 enter "$1" test ! -e "/proc/$number/exe"
}

log_tail() { tail -n 3 "$lab/logs/$1" | cut -c1-300 >&2; }
