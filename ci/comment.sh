#!/usr/bin/env bash
# comment.sh STACK FILE: FILE as the one comment on STACK on pull request NUMBER of REPOSITORY,
# written anew if it is there; and on the page of the run. Takes GitHub's own `gh`, with GH_TOKEN.
set -euo pipefail
stack=$1 file=$2
mark="<!-- preview of $stack -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{ echo "$mark"; cat "$file"; } >"$body"
cat "$file" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
comments=repos/$REPOSITORY/issues/$NUMBER/comments
id=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$id" ]; then
	gh api --method PATCH "repos/$REPOSITORY/issues/comments/$id" --field body=@"$body" --silent
else
	gh api --method POST "$comments" --field body=@"$body" --silent
fi
