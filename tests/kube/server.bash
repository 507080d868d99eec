# shellcheck shell=bash
# Sourced by what asks a real kube-apiserver. The script that sources this calls `begin NAME` and `go_apart "$@"` first,
# and ends with `finish`. Inside, $work is its folder and the current one, and etcd and the API server listen on
# loopback in a network of their own; the process namespace ends everything that was started in it, however the script
# ends.
# shellcheck source=../lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/../lib.bash"
# shellcheck source=manifests/find-kube
. "$here/manifests/find-kube"
api=https://127.0.0.1:6443
admin=admin-$RANDOM$RANDOM
apiserver=''

is() { expect "$@"; }

go_apart() {
	if [ "${1-}" = --inside ]; then
		work=$2
		cd "$work" && ip link set lo up || die "no place of its own"
		return
	fi
	[ -x "$kube_all" ] || nothing "no kube-all below $kontain_cache"
	require root jq curl openssl unshare ip
	make_work
	KUBE_ALL=$kube_all unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$work"
	exit
}

make_pki() {
	openssl genrsa -out sa.key 2048 2>/dev/null
	openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt 2>/dev/null
	echo subjectAltName=IP:127.0.0.1 >server.ext
	openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout server.key -out server.csr 2>/dev/null
	openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
		-out server.crt 2>/dev/null
	echo "$admin,admin,1,system:masters" >tokens
	cat >kubeconfig <<-E
		apiVersion: v1
		kind: Config
		clusters: [{name: t, cluster: {server: "$api", certificate-authority: "$work/ca.crt"}}]
		users: [{name: t, user: {token: "$admin"}}]
		contexts: [{name: t, context: {cluster: t, user: t}}]
		current-context: t
	E
	export KUBECONFIG=$work/kubeconfig
}

start_etcd() {
	local program
	for program in etcd kube-apiserver kube-controller-manager kubectl; do ln -s "$kube_all" $program; done
	./etcd --data-dir etcd.data --unsafe-no-fsync --listen-peer-urls http://127.0.0.1:2380 >etcd.log 2>&1 &
}

start_apiserver() {
	./kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
		--secure-port=6443 --tls-cert-file=server.crt --tls-private-key-file=server.key \
		--token-auth-file=tokens --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/24 \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.pub \
		--service-account-signing-key-file=sa.key --allow-privileged=true >>apiserver.log 2>&1 &
	apiserver=$!
	for _ in $(seq 600); do
		curl -s --cacert ca.crt -H "Authorization: Bearer $admin" $api/readyz | grep -qx ok && return
		sleep 0.1
	done
	die "the API server did not get ready: $(tail -3 apiserver.log)"
}

# It takes its time to say goodbye to watchers: nothing is lost without.
stop_apiserver() {
	kill -KILL "$apiserver"
	wait "$apiserver" 2>/dev/null
}

start_server() {
	make_pki
	start_etcd
	start_apiserver
}

# ask TOKEN METHOD PATH [TYPE BODY]: the status to $code, the answer to the file answer. The server takes the agent's
# name for the field manager's where the path names none.
agent=curl
ask() {
	code=$(curl -s -A "$agent/0" --cacert ca.crt -o "$work/answer" -w '%{http_code}' -X "$2" \
		-H "Authorization: Bearer $1" -H "Content-Type: ${4:-application/json}" ${5:+--data-binary "$5"} "$api$3")
}

# must METHOD PATH BODY [TYPE]: as admin
must() {
	ask "$admin" "$1" "$2" "${4:-application/json}" "$3"
	case $code in 2*) ;; *) die "$1 $2: $code $(jq -r .message "$work/answer")" ;; esac
}

# await_policy TOKEN NODE: a policy is in force some moments after it is there; until then the first refusal is awaited.
await_policy() {
	for _ in $(seq 300); do
		ask "$1" PATCH "/api/v1/nodes/$2?dryRun=All" application/merge-patch+json \
			'{"metadata":{"labels":{"x":"y"}}}'
		[ "$code" = 422 ] && return
		sleep 0.1
	done
	die "the policy is not in force after 30 s (a foreign label: $code)"
}
