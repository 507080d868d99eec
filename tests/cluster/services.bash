# shellcheck shell=bash
# shellcheck disable=SC2154 # what lab.bash and run set
# Sourced: the daemons of a cluster, each with the settings it needs here. `start_etcd`, `start_api` and so on may be
# called again after `stop`.

start_etcd() {
	# Its data is thrown away with the lab: no sync, the disk may be a slow one.
	start a etcd "$lab/bin/etcd" --name lab --data-dir "$lab/etcd" \
	--unsafe-no-fsync 	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster lab=http://127.0.0.1:2380
}

start_api() {
	local pki=$lab/pki
	start a kube-apiserver "$lab/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
		--advertise-address="${node_address[a]}" --service-cluster-ip-range="$service_network" \
		--client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/kube-apiserver.crt" \
		--tls-private-key-file="$pki/kube-apiserver.key" --kubelet-certificate-authority="$pki/ca.crt" \
		--kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
		--kubelet-preferred-address-types=InternalIP --authorization-mode=Node,RBAC \
		--enable-admission-plugins=NodeRestriction --allow-privileged=true \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/accounts.pub" \
		--service-account-signing-key-file="$pki/accounts.key"
}

api_ready() { [ "$(kube get --raw /readyz 2>/dev/null)" = ok ]; }

start_managers() {
	local pki=$lab/pki name
	for name in kube-controller-manager kube-scheduler; do
		local -a more=()
		[ $name = kube-scheduler ] || more=(--service-account-private-key-file="$pki/accounts.key"
			--root-ca-file="$pki/ca.crt" --use-service-account-credentials=true
			--cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key")
		start a $name "$lab/bin/$name" --kubeconfig="$pki/$name.kubeconfig" --bind-address=127.0.0.1 \
			--authentication-kubeconfig="$pki/$name.kubeconfig" --authorization-kubeconfig="$pki/$name.kubeconfig" \
			--cert-dir="$lab/a/$name" --leader-elect=false "${more[@]}"
	done
}

start_containerd() {
	local config=$lab/$1/containerd.toml
	cat >"$config" <<-E
		version = 2
		root = "/var/lib/containerd"
		state = "/run/containerd"
		[grpc]
		  address = "/run/containerd/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "localhost/pause:1"
		  disable_apparmor = true
		  # Root here may lack CAP_SYS_RESOURCE, without which no score can be lowered.
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$lab/$1/cni"
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		      SystemdCgroup = false
	E
	start "$1" containerd containerd --config "$config"
}

containerd_ready() { enter "$1" ctr version; }

start_kubelet() {
	local config=$lab/$1/kubelet.yaml pki=$lab/pki
	cat >"$config" <<-E
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		cgroupDriver: cgroupfs
		cgroupRoot: /$group-$1
		failCgroupV1: false
		failSwapOn: false
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
		authorization: {mode: Webhook}
		tlsCertFile: $pki/kubelet-$1.crt
		tlsPrivateKeyFile: $pki/kubelet-$1.key
		registerWithTaints: [$([ "$1" != a ] || echo '{key: kontain.app/not-ready, effect: NoSchedule}')]
		resolvConf: ""
		# A machine that is rather full is no reason to evict a test.
		evictionHard: {memory.available: 50Mi}
		imageGCHighThresholdPercent: 100
	E
	start "$1" kubelet "$lab/bin/kubelet" --config="$config" --kubeconfig="$pki/kubelet-$1.kubeconfig" \
		--hostname-override="$1" --node-ip="${node_address[$1]}"
}

start_proxy() {
	start "$1" kube-proxy "$lab/bin/kube-proxy" --kubeconfig="$lab/pki/kube-proxy.kubeconfig" --hostname-override="$1" \
		--proxy-mode=iptables --conntrack-max-per-core=0 --conntrack-min=0 --conntrack-tcp-timeout-established=0 \
		--conntrack-tcp-timeout-close-wait=0 --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}

node_ready() {
	[ "$(kube get node "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}
