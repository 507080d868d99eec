# shellcheck shell=bash
# What the store's tests share beside tests/lib.bash. Sourced, after `begin`, by those of this folder and by
# tests/attack.

# shellcheck disable=SC2154 # driver, payload, striker: by `begin`

# is TEXT PART: it is in there
is() { has "$@"; }
end() { end_children; }
partials() { find "$1" -maxdepth 1 -name '.partial-*' | grep . && { say "partials left"; return 1; }; return 0; }
whole() { is "$("$driver" inventory "$1")" "whole=1" && "$driver" verify "$1"; }
# flip FILE OFFSET: one byte of it is another
flip() { printf X | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
# changes ROOT COMMAND...: the names of its calls that change what is in the root, a line each, into the file changes
changes() {
	"$striker" -r "$1" -o all record "${@:2}" >log 2>&1
	sed -n 's/^[a-z]*c[a-z]* //p' all >changes
	[ -s changes ] || { say "no call that changes $1: $(cat log)"; return 1; }
}

# bundle DIR VERSION KM-TEXT [COMPONENT=VERSION...]: km differs by text behind its ELF, the tree is always the same
bundle() {
	local dir=$1 version=$2 text=$3 i
	shift 3
	rm -rf "$dir"; mkdir -p "$dir/bin" "$dir/alpine-lib/lib/deep/er" "$dir/lib" "$dir/tests"
	cp "$payload" "$dir/bin/km"; printf '%s' "$text" >>"$dir/bin/km"; chmod 755 "$dir/bin/km"
	printf '#!/bin/sh\n' >"$dir/bin/tool"; chmod 755 "$dir/bin/tool"
	for i in 1 2 3 4 5 6 7 8 9; do head -c $((i * 7000)) /dev/zero | tr '\0' "$i" >"$dir/alpine-lib/lib/file-$i"; done
	: >"$dir/alpine-lib/lib/empty"
	echo text >"$dir/alpine-lib/lib/deep/er/a name with spaces"
	ln -s deep/er "$dir/alpine-lib/lib/short"
	echo lib >"$dir/lib/data"
	cp "$payload" "$dir/tests/hello_test.km"
	"$driver" pack "$dir" "$version" "$@"
}
