# shellcheck shell=bash
# What the shell tests share: their counters and last line, a folder that goes at the end, the programs of a build, and
# what rows ask. A test begins like this, after its `set -u`:
#
#   . "$(dirname "$0")/../lib.bash"
#   begin land dev             # its name in the last line, and the build where KONTAIN_BUILD names none
#   require root strace        # without these it is skipped
#   require_built "$driver"    # without these it fails
#   make_work                  # $work, and the end of $children and $mounts
#
# and ends with `finish`: after rows of its own (pass, fail, row), or after `run_cases "$@"`, which runs its functions
# case_NAME. The last line is "NAME: N passed, N failed, N skipped", which tests/run reads; the exit status is 1 when a
# row failed, 77 when nothing was tested and else 0.
# shellcheck disable=SC2034 # most of the variables are for those that source this

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
musl=/usr/lib/x86_64-linux-musl/libc.so # a real libc and loader, as Kontain's runtime is
passed=0 failed=0 skipped=0
children=() mounts=() work='' test_name=${0##*/}

# begin NAME [PRESET]
begin() {
	test_name=$1
	KONTAIN_BUILD=$(realpath -m "${KONTAIN_BUILD:-$top/build/${2:-dev}}")
	export KONTAIN_BUILD
	build=$KONTAIN_BUILD
	program=$build/installer/kontain-installer
	pack=$build/installer/pack/kontain-pack
	daemon=$build/daemon/kontaind
	driver=$build/tests/store/kt-store-driver
	payload=$build/tests/store/kt-store-payload
	striker=$build/tests/crash/kt-crash-at
}

# ---- rows ----

# row ok|FAIL|SKIP [WORDS]: counts it, and shows it where it has words
row() {
	case $1 in
	ok) passed=$((passed + 1)) ;;
	FAIL) failed=$((failed + 1)) ;;
	SKIP) skipped=$((skipped + 1)) ;;
	*) echo "FAIL  $test_name: no result \"$1\""; failed=$((failed + 1)) ;;
	esac
	[ -z "${2-}" ] || printf '%-5s %s\n' "$1" "$2"
}
pass() { row ok "$*"; }
fail() { row FAIL "${*:-a row without words}"; }
# expect WORDS COMMAND...: a row; what the command said is shown when it fails
expect() {
	local expected=$1
	shift
	if "$@" >"${work:?}/.said" 2>&1; then pass; else fail "$expected $(tail -n 3 "$work/.said")"; fi
}
section() { echo "--- $*"; }
say() { echo "      $*"; }

# finish: the last line, and the status that the script ends with
finish() {
	[ $((passed + failed + skipped)) -gt 0 ] || fail "$test_name: nothing was tested"
	echo "$test_name: $passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ] || return 1
	[ $passed -gt 0 ] || return 77
}
# nothing WORDS: this cannot be tested here; die WORDS: it makes no sense to go on
nothing() { row SKIP "$test_name: $*"; finish; exit; }
die() { fail "$test_name: $*"; finish; exit; }

# run_part NAME COMMAND...: a test of its own, whose figures are added to ours
run_part() {
	local name=$1 said status last
	shift
	section "$name"
	said=$(mktemp) || exit 1
	"$@" 2>&1 </dev/null | tee "$said"
	status=${PIPESTATUS[0]}
	last=$(tail -n 1 "$said")
	rm -f "$said"
	if [[ ! $last =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		fail "$name ended with status $status and without its figures"
		return
	fi
	passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
	[ "$status" = 0 ] || [ "$status" = 77 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || fail "$name ended with status $status"
}

# help: the comment at the script's top; usage WORDS: that, and the end
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
usage() { echo "$test_name: $*" >&2; help >&2; exit 2; }

# ---- what is needed ----

# require WHAT...: root, a file by its path, a program in PATH
require() {
	local what
	for what; do
		case $what in
		root) [ "$(id -u)" = 0 ] || nothing "be root" ;;
		/*) [ -e "$what" ] || nothing "$what is not here" ;;
		*) command -v "$what" >/dev/null || nothing "$what is not here" ;;
		esac
	done
}
# require_built FILE...
require_built() {
	local what
	for what; do [ -e "$what" ] || die "build $KONTAIN_BUILD first: $what is not there"; done
}
# A sanitizer needs memory without bound, sees no traced process, and is loaded before anything else.
has_sanitizer() { grep -qa __asan_init "$1"; }

# ---- a folder, and the end of what was begun ----

make_work() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/kontain-$test_name-XXXXXX") || exit 1
	chmod 755 "$work"
	trap clean_up EXIT
}
clean_up() {
	# a child that a signal ends before it is another program would do the same
	[ $BASHPID = $$ ] || return
	end_children
	undo_mounts
	at_end
	rm -rf --one-file-system "$work"
}
at_end() { :; } # for a test's own

# Processes are ended, and mounts undone, at the end of each case: children+=($!), mounted ARGUMENT...
end_children() {
	local one
	for one in "${children[@]}"; do kill -9 "$one" && wait "$one"; done 2>/dev/null
	children=()
}
mounted() { mount "$@" && mounts+=("${!#}"); }
undo_mounts() {
	local i
	for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
		umount "${mounts[i]}" 2>/dev/null || umount -l "${mounts[i]}" 2>/dev/null
	done
	mounts=()
}

# ---- cases ----

# run_cases [NAME]...: each function case_NAME, or those named in that order, in an empty folder of its own. A case
# returns 0, 1 after it has said why, or what `skip` returns.
run_cases() {
	local case_name
	if [ $# = 0 ]; then
		# shellcheck disable=SC2046 # names have no spaces
		set -- $(declare -F | sed -n 's/^declare -f case_//p')
	fi
	for case_name; do
		if declare -F "case_$case_name" >/dev/null; then run_case "$case_name"; else fail "no such row: $case_name"; fi
	done
}
run_case() {
	local case_status case_began=$SECONDS case_took=''
	skip_reason='' case_note=''
	mkdir "$work/$1" && cd "$work/$1" || exit 1
	before_case "$1"
	"case_$1" </dev/null
	case_status=$?
	[ $SECONDS = "$case_began" ] || case_took=" ($((SECONDS - case_began)) s)"
	case $case_status in
	0) row ok "$1${case_note:+ ($case_note)}$case_took" ;;
	77) row SKIP "$1: ${skip_reason:-something is missing here}" ;;
	*) row FAIL "$1$case_took" ;;
	esac
	after_case "$1" $case_status
	end_children
	undo_mounts
	cd / && rm -rf --one-file-system "${work:?}/$1"
}
before_case() { :; } # for a test's own
after_case() { :; }
# skip WORDS: why a case cannot be tested here; it returns at once: [ -c /dev/kvm ] || { skip "no /dev/kvm here";
# return; }
skip() { skip_reason=$*; return 77; }
# needs PROGRAM|PATH...: in a case, `needs strace || return`
needs() {
	local what
	for what; do [ -e "$what" ] || command -v "$what" >/dev/null || { skip "$what is not here"; return; }; done
}
needs_kvm() { needs /dev/kvm; }
# Rows of a table: one that ends in a backslash goes on in the next line.
joined() { sed -e ':row' -e '/\\$/ { N; s/\\\n[[:space:]]*//; b row }'; }

# ---- what a row asks; each says what was expected and what came ----

has() { case $1 in *"$2"*) return 0 ;; esac; say "expected \"$2\", got: $1"; return 1; }
lacks() { case $1 in *"$2"*) say "not expected \"$2\", got: $1"; return 1 ;; esac; }
same() { [ "$1" = "$2" ] && return 0; say "expected \"$2\", got: $1"; return 1; }
gone() { [ ! -e "$1" ] && [ ! -L "$1" ] && return 0; say "$1 is still there"; return 1; }
there() { [ -e "$1" ] && return 0; say "$1 is missing"; return 1; }

# within SECONDS COMMAND...: it succeeds in time. The machine may be busy, so the seconds are many.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# listing_of FOLDER [TEST...]: all of it that a change would show, but for what find's tests leave out
listing_of() {
	(cd "$1" 2>/dev/null && find . -not -name .lock "${@:2}" -printf '%p %y %m %U:%G %i %s %l\n' | sort)
}

# does STATUS WORDS ARGUMENT...: kontain-installer ends so, with these words, and with one line of stderr at most; what
# it said is in the files out and err
does() {
	local want=$1 words=$2 status
	shift 2
	"$program" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] || { say "$*: exit $status, not $want: $(cat out err)"; return 1; }
	[ -z "$words" ] || grep -qF -- "$words" out err || { say "$*: no word of '$words': $(cat out err)"; return 1; }
	[ "$(wc -l <err)" -le 1 ] || { say "$*: more than one line: $(cat err)"; return 1; }
}

# monitor_bundle VARIANT VERSION: a bundle of the tests' monitor, made once; its folder is printed
monitor_bundle() {
	local out=$work/bundles/$1-$2
	mkdir -p "$work/bundles"
	[ -d "$out" ] || "$top/tests/monitor/bundle" --variant "$1" --version "$2" "$out" >"$work/bundle.log" 2>&1 ||
		{ cat "$work/bundle.log" >&2; return 1; }
	echo "$out"
}
