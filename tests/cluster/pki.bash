# shellcheck shell=bash
# shellcheck disable=SC2154 # what lab.bash and run set
# Sourced: the lab's certificate authority, and for each client a certificate and a kubeconfig.

# issue NAME SUBJECT [ALTERNATIVE-NAMES]: $lab/pki/NAME.{key,crt}
issue() {
	local -a names=()
	[ $# -lt 3 ] || names=(-addext "subjectAltName=$3")
	openssl req -x509 -config "$lab/pki/openssl.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 \
		-CA "$lab/pki/ca.crt" -CAkey "$lab/pki/ca.key" -keyout "$lab/pki/$1.key" -out "$lab/pki/$1.crt" -subj "$2" \
		-addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth "${names[@]}" 2>/dev/null
}

kubeconfig() {
	cat >"$lab/pki/$1.kubeconfig" <<-E
		apiVersion: v1
		kind: Config
		clusters: [{name: lab, cluster: {server: "https://${node_address[a]}:6443", certificate-authority: $lab/pki/ca.crt}}]
		users: [{name: $1, user: {client-certificate: $lab/pki/$1.crt, client-key: $lab/pki/$1.key}}]
		contexts: [{name: lab, context: {cluster: lab, user: $1}}]
		current-context: lab
	E
}

make_pki() {
	local name subject node
	mkdir -p "$lab/pki"
	printf '[req]\ndistinguished_name = none\n[none]\n' >"$lab/pki/openssl.cnf"
	openssl req -x509 -config "$lab/pki/openssl.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 \
		-keyout "$lab/pki/ca.key" -out "$lab/pki/ca.crt" -subj /CN=lab \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign 2>/dev/null
	# What the API server signs the accounts' tokens with.
	openssl genrsa -out "$lab/pki/accounts.key" 2048 2>/dev/null
	openssl rsa -in "$lab/pki/accounts.key" -pubout -out "$lab/pki/accounts.pub" 2>/dev/null
	issue kube-apiserver /CN=kube-apiserver \
		"DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$api_service,IP:${node_address[a]}"
	for node in "${!node_address[@]}"; do
		issue "kubelet-$node" "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:${node_address[$node]}"
		kubeconfig "kubelet-$node"
	done
	while read -r name subject; do
		issue "$name" "$subject"
		kubeconfig "$name"
	done <<-E
		admin /O=system:masters/CN=admin
		kube-controller-manager /CN=system:kube-controller-manager
		kube-scheduler /CN=system:kube-scheduler
		kube-proxy /CN=system:kube-proxy
	E
}
