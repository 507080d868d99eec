# shellcheck shell=bash
# shellcheck disable=SC2154 # what lab.bash and run set
# Sourced: what the cases ask of a lab, and how they put kontaind on it.

namespace=kontain-system
image=localhost/kontaind

in_pods() { kube -n $namespace "$@"; }

# node NODE FILTER: jq's answer about the Node object
node() { kube get node "$1" -o json | jq -r "$2"; }

# condition NODE: "True Ready" and the like; "none" when it has no such condition
condition() {
	node "$1" '[.status.conditions[] | select(.type == "kontain.app/KMReady") | "\(.status) \(.reason)"] |
		if . == [] then "none" else join(" and ") end'
}
label() { node "$1" ".metadata.labels[\"kontain.app/$2\"] // \"none\""; }
annotation() { node "$1" ".metadata.annotations[\"kontain.app/$2\"] // \"none\""; }
taints() { node "$1" '[.spec.taints[]?.key | select(startswith("kontain.app/"))] | join(" ")'; }

# pod NODE [FIELD]: kontaind's on that node, one that is going not counted
pod() {
	in_pods get pods -l app.kubernetes.io/name=kontaind -o json | jq -r --arg node "$1" '[.items[] |
		select(.spec.nodeName == $node and (.metadata.deletionTimestamp | not))][0] | '"${2:-.metadata.name}"
}

# in_installer NODE WORDS COMMAND...: kontain-installer in the node's pod says so, by its plain command
in_installer() {
	local said
	said=$(in_pods exec "$(pod "$1")" -c installer -- kontain-installer "${@:3}" 2>&1)
	[[ $said == *"$2"* ]]
}

# restarts NODE CONTAINER
restarts() { pod "$1" "[.status.containerStatuses[] | select(.name == \"$2\")][0].restartCount"; }
pod_ready() { [ "$(pod "$1" '[.status.conditions[] | select(.type == "Ready")][0].status')" = True ]; }

# ask NODE PATH: what its kontaind answers over the network, and on the last line the code
ask() {
	local address
	address=$(pod "$1" .status.podIP)
	[ "$address" != null ] && on_network a curl -s -m 5 -w '\n%{http_code}' "http://$address:8080$2"
}

# answers NODE PATH CODE WORDS: is that the code, and are these words in the answer?
answers() {
	local answer
	answer=$(ask "$1" "$2") && [ "${answer##*$'\n'}" = "$3" ] && [[ $answer == *"$4"* ]]
}

# store NODE COMMAND...: in the node's /opt/kontain, as root sees it there
store() {
	local node=$1; shift
	enter "$node" env -C /opt/kontain "$@"
}

# process NODE PROGRAM: its number on the node
process() {
	enter "$1" bash -c 'for exe in /proc/[0-9]*/exe; do
		[ "$(readlink "$exe")" = "/usr/bin/$0" ] && [ "$(cut -d" " -f4 "${exe%exe}stat")" != 0 ] && basename "${exe%/exe}"
	done | sort -n | head -1' "$2" 2>/dev/null
}

# ---- saying so ----

note() { echo "      $*" >&3; }
# is WORDS WANT GOT
is() { [ "$2" = "$3" ] || { echo "$1: $3, and should be $2"; exit 1; }; }
# becomes SECONDS WORDS WANT COMMAND...: the command comes to print WANT
becomes() {
	local limit=$((SECONDS + $1)) words=$2 want=$3 got; shift 3
	until got=$("$@" 2>&1) && [ "$got" = "$want" ]; do
		[ $SECONDS -lt $limit ] || { echo "$words: still $got, and should become $want"; exit 1; }
		sleep 0.2
	done
}
# comes SECONDS WORDS COMMAND...: the command comes to succeed
comes() {
	local limit=$1 words=$2; shift 2
	await "$limit" "$@" || { echo "not so after $limit s: $words"; exit 1; }
}
# stays SECONDS WORDS WANT COMMAND...
stays() {
	local limit=$((SECONDS + $1)) words=$2 want=$3 got; shift 3
	while [ $SECONDS -lt $limit ]; do
		got=$("$@" 2>&1)
		[ "$got" = "$want" ] || { echo "$words: became $got, and should stay $want"; exit 1; }
		sleep 0.5
	done
}

# ---- putting it there ----

rolled_out() { in_pods rollout status ds/kontaind --timeout="${1:-60}s"; }

# settings DESIRED: a kustomization of the base with the pace that tests want, in $work/settings; prints its folder
settings() {
	mkdir -p "$work/settings"
	cat >"$work/settings/config.yaml" <<-E
		apiVersion: kontain.app/v1
		kind: Config
		desired: ${1:-present}
		proof: {allowEmulated: true, intervalSeconds: 5}
		report: {startDelaySeconds: 0, heartbeatSeconds: 30}
	E
	cat >"$work/settings/kustomization.yaml" <<-E
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		namespace: $namespace
		resources: [$(realpath --relative-to="$work/settings" "$top/manifests/base")]
		configMapGenerator:
		- {name: kontaind-config, behavior: replace, files: [config.yaml]}
		images:
		- {name: $image, newTag: "${current_tag}"}
	E
	echo "$work/settings"
}

# What /dev/kvm gives, and what a node without it lacks: node b may be given one and have it taken.
give_kvm() { enter "$1" sh -c 'test -e /dev/kvm || mknod -m 600 /dev/kvm c 10 232'; }
take_kvm() { enter "$1" rm -f /dev/kvm; }
