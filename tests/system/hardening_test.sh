#!/usr/bin/env bash
# The program that is shipped has what POSTCALL_HARDENED promises.
#   hardening_test.sh BINARY
set -euo pipefail

binary=$1
headers=$(readelf --wide --file-header --program-headers --dynamic "$binary")
symbols=$(readelf --wide --dyn-syms "$binary")

# has TEXT PATTERN WHAT
has() {
  grep -qE -- "$2" <<<"$1" || {
    echo "hardening_test.sh: $3" >&2
    exit 1
  }
}

has "$headers" '^ *Type: +DYN' 'it is not mapped at a random address (PIE)'
has "$headers" 'GNU_RELRO' 'no table is read-only once the program has started (relro)'
has "$headers" 'FLAGS.*(BIND_)?NOW' 'functions of libraries are bound late, so their table stays writable (now)'
has "$headers" 'GNU_STACK +(0x0+ +){5}RW ' 'code on the stack would run'
has "$symbols" ' __stack_chk_fail(@| |$)' 'the stack is not guarded (-fstack-protector-strong)'
has "$symbols" ' __[a-z]+_chk(@| |$)' 'no buffer is checked (_FORTIFY_SOURCE)'
echo 'The program is hardened'
