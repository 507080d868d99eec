# What tests of the store share: sourced, with $driver, $payload and the array mounts set.

say() { echo "      $*"; }
# is TEXT PATTERN: TEXT holds PATTERN, or the case fails with what it was
is() { case $1 in *"$2"*) return 0 ;; esac; say "expected \"$2\", got: $1"; return 1; }
same() { [ "$1" = "$2" ] && return 0; say "expected \"$2\", got: $1"; return 1; }
gone() { [ ! -e "$1" ] && [ ! -L "$1" ] && return 0; say "$1 is still there"; return 1; }
there() { [ -e "$1" ] && return 0; say "$1 is missing"; return 1; }
partials() { find "$1" -maxdepth 1 -name '.partial-*' | grep . && { say "partials left"; return 1; }; return 0; }
whole() { is "$("$driver" inventory "$1")" "whole=1" && "$driver" verify "$1"; }
# flip FILE OFFSET: one byte of it is another
flip() { printf X | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
mounted() { mount "$@" && mounts+=("${!#}"); }

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
