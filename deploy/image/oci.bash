# shellcheck shell=bash
# shellcheck disable=SC2034 # index, manifest and labels are for who sources this
# What build and payload share: an OCI archive made by buildah, in a store of its own that goes with $work.

# oci_begin NAME: what is needed, and $work, which goes when the script ends
oci_begin() {
	local tool
	for tool in buildah jq; do
		command -v $tool >/dev/null || fail "$tool is missing (packages buildah, jq)"
	done
	[ "$(id -u)" = 0 ] || fail "must be root: the layers' files are root's"
	work=$(mktemp -d "${TMPDIR:-/tmp}/$1.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"
	umask 022
}

b() { buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }

# commit CONTAINER DESTINATION. --timestamp also sets the times of the layer's files.
commit() {
	b commit --quiet --signature-policy "$work/policy.json" --format oci --timestamp 0 \
		--disable-compression=false --rm "$@"
}

# A blob's path in an OCI layout.
blob() { echo "blobs/sha256/${1#sha256:}"; }

# oci_manifest ARCHIVE: sets $index and $manifest to these documents of it
oci_manifest() {
	index=$(tar -xOf "$1" index.json)
	manifest=$(tar -xOf "$1" "$(blob "$(jq -r '.manifests[0].digest' <<<"$index")")")
}

# bundle_labels BUNDLE: sets $labels to buildah's options that say which one it is
bundle_labels() {
	labels=(
		--label "app.kontain.bundle.version=$(jq -re .version "$1/kontain-bundle.json")"
		--label "app.kontain.bundle.manifest=sha256:$(sha256sum "$1/kontain-bundle.json" | cut -d' ' -f1)"
	)
}

# check_bundle BUNDLE PROGRAMS: as strictly as a node would, where the build folder PROGRAMS has kontain-pack
check_bundle() {
	[ -f "$1/kontain-bundle.json" ] || fail "$1 is not a bundle: it has no kontain-bundle.json"
	[ -f "$1/bin/km" ] || fail "$1 is not a bundle: it has no bin/km"
	[ -d "$2" ] || fail "no build folder $2: build first, or name it with --build"
	pack=$(find "$2/" -type f -name kontain-pack -perm -u+x -print -quit)
	if [ -n "$pack" ]; then
		"$pack" --check "$1" >/dev/null || fail "kontain-pack refuses $1"
	fi
}
