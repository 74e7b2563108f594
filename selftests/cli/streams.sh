# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# What happens when the streams are not what a terminal gives. Sourced by `run`.

code=0
"$binary" help 2>"$scratch/stderr" >&- || code=$?
expect 'stdout-closed-is-a-failure' 1 'error: write to stdout: *'

code=0
"$binary" help 2>"$scratch/stderr" >/dev/full || code=$?
expect 'stdout-full-is-a-failure' 1 'error: write to stdout: *(ENOSPC)*'

# The reader has gone before anything is written: the pipe has no read end.
code=0
mkfifo "$scratch/pipe"
exec 8<>"$scratch/pipe"
exec 9>"$scratch/pipe" 8>&-
"$binary" help 2>"$scratch/stderr" >&9 || code=$?
exec 9>&-
expect 'stdout-reader-gone-is-no-failure' 0 ''

code=0
"$binary" --config "$data/config/good.yaml" config view >/dev/null 2>&- || code=$?
: >"$scratch/stderr"
expect 'stderr-closed-does-not-matter' 0 ''

mkdir "$scratch/unreadable"
ln -s loop.json "$scratch/unreadable/loop.json"
code=0
"$binary" node list --nodes-path "$scratch/unreadable" --node-name a >/dev/null 2>"$scratch/stderr" || code=$?
expect 'nodes-unreadable-file' 2 "error: *$scratch/unreadable/loop.json*(ELOOP)*"

mkdir "$scratch/none"
code=0
"$binary" node list --nodes-path "$scratch/none" --node-name a >/dev/null 2>"$scratch/stderr" || code=$?
expect 'nodes-empty-folder-is-a-warning' 0 "warning: no nodes in $scratch/none*"

# What `config view` prints is a configuration again, with the same values.
"$binary" config view --config "$data/config/good.yaml" --mode strict >"$scratch/first.yaml"
"$binary" config view --config "$scratch/first.yaml" -o json | sed '/"origins"/,$d; /"file"/d' >"$scratch/again"
"$binary" config view --config "$data/config/good.yaml" --mode strict -o json | sed '/"origins"/,$d; /"file"/d' >"$scratch/once"
code=0
diff "$scratch/once" "$scratch/again" >"$scratch/stderr" || code=$?
expect 'config-view-can-be-loaded-again' 0 ''

# --- keys that change with each run ----------------------------------------------------------------------------------
key_pattern='^3 rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$'
code=0
"$binary" key generate --id 3 >"$scratch/keys" 2>"$scratch/stderr" || code=$?
grep -qE "$key_pattern" "$scratch/keys" || code=99
expect 'key-generate-prints-the-line' 0 ''

code=0
"$binary" key generate --id 3 -o json 2>"$scratch/stderr" | jq -re .key >"$scratch/json" || code=$?
grep -qE "$key_pattern" "$scratch/json" || code=99
expect 'key-generate-as-json-holds-the-line' 0 ''

chmod 644 "$scratch/keys"
code=0
"$binary" key inspect --file "$scratch/keys" >/dev/null 2>"$scratch/stderr" || code=$?
expect 'key-file-for-all-to-read-is-refused' 2 "error: key file $scratch/keys: others than its owner have access*"

chmod 600 "$scratch/keys"
code=0
"$binary" key rotate --file "$scratch/keys" >"$scratch/rotated" 2>"$scratch/stderr" || code=$?
grep -qE '^4 rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$' "$scratch/keys" || code=99
expect 'key-rotate-writes-the-next-one' 0 ''

# Not one byte of a key in what the commands say of key files, good or bad: every key of data/keys begins with 5eed.
code=0
! grep -rl '5eed' "$folder"/golden/key-* >"$scratch/stderr" || code=1
expect 'no-key-byte-in-any-output' 0 ''
