#!/usr/bin/env bash
# note.sh STACK FILE: FILE as the one note on STACK on the merge request of a GitLab pipeline,
# written anew if it is there. Takes curl, python3 and GITLAB_TOKEN, which goes through a file.
set -euo pipefail
stack=$1 file=$2
[ -s "$file" ] || exit 0
mark="<!-- preview of $stack -->"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 077
printf 'header = "PRIVATE-TOKEN: %s"\n' "$GITLAB_TOKEN" >"$folder/token"
{ echo "$mark"; cat "$file"; } >"$folder/body"
notes=$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes
first='import json, sys
print(next((note["id"] for note in json.load(sys.stdin) if note["body"].startswith(sys.argv[1])), ""))'
id=$(curl -fsS --config "$folder/token" "$notes?per_page=100" | python3 -c "$first" "$mark")
curl -fsS --config "$folder/token" --output /dev/null --data-urlencode "body@$folder/body" \
	--request "$([ -n "$id" ] && echo PUT || echo POST)" "$notes${id:+/$id}"
