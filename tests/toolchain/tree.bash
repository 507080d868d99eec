# shellcheck shell=bash
# A tree of Kontain's libraries out of what Debian has: musl as runtime/ and as alpine-lib/, laid out as Kontain and
# Alpine lay it out, and gcc's own start files. Sourced behind lib.bash.
# shellcheck disable=SC2154 # musl: by lib.bash
musl_folder=${musl%/*}

# musl_tree DIR: runtime/ and alpine-lib/ in DIR
musl_tree() {
	local runtime=$1/runtime libs=$1/alpine-lib/lib usr=$1/alpine-lib/usr/lib gcc file
	gcc=$usr/gcc/x86_64-alpine-linux-musl/$(gcc -dumpversion)
	mkdir -p "$runtime" "$libs" "$gcc" || return
	cp "$musl" "$runtime/libc.so" && cp "$musl_folder/libc.a" "$runtime/libruntime.a" || return
	ln -s libruntime.a "$runtime/libc.a" && ln -s libc.so "$runtime/libc.musl-x86_64.so.1" &&
		ln -s libc.so "$runtime/ld-linux-x86-64.so.2" || return
	for file in libm.a libpthread.a; do cp "$musl_folder/$file" "$runtime/" || return; done
	cp "$musl" "$libs/ld-musl-x86_64.so.1" && chmod 755 "$libs/ld-musl-x86_64.so.1" "$runtime/libc.so" &&
		ln -s ld-musl-x86_64.so.1 "$libs/libc.musl-x86_64.so.1" &&
		ln -s ../../lib/ld-musl-x86_64.so.1 "$usr/libc.so" &&
		cp "$musl_folder"/*.o "$musl_folder"/*.a "$usr/" || return
	for file in crtbegin.o crtbeginS.o crtbeginT.o crtend.o crtendS.o libgcc.a libgcc_eh.a; do
		cp "$(gcc -print-file-name=$file)" "$gcc/" || return
	done
}
