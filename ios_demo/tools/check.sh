#!/usr/bin/env bash
# All of ios_demo that can be checked without a Mac: check.sh [PYTHON]
#
# With Swift (see swift_root.sh): the core's tests, every file's syntax, the app's types against LinuxStubs, the format.
# With or without: the project, plists, strings and the README, by the repository's own tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${1:-python3}

swift() { ios_demo/tools/swift_root.sh "$@"; }
step() { printf '\n== %s\n' "$1"; }

step "project, plists, strings, README"
"$python" -m pytest -q tests/ios_demo

step "Swift"
status=0
swift swift --version || status=$?
if [ $status = 69 ]; then
  echo "Not checked: the core's tests, syntax, types and format. Xcode on a Mac checks the first three."
  exit 0
elif [ $status != 0 ]; then
  exit $status
fi

step "LeViTCore's tests"
swift swift test --quiet --package-path /src/ios_demo/LeViTCore --scratch-path /build/core

step "syntax of every file"
files=$(git ls-files --cached --others --exclude-standard 'ios_demo/*.swift')
# shellcheck disable=SC2086
swift sh -c 'cd /src && swiftc -parse "$@"' parse $files
echo "$(wc -l <<<"$files") files parse"

step "types of the app, against stubs of Apple's frameworks and of ExecuTorch"
swift sh /src/ios_demo/tools/typecheck.sh /build/modules
echo "the app type-checks"

step "format"
swift sh -c 'cd /src/ios_demo && swift-format lint --strict --recursive .'
echo "formatted"

cat <<'TEXT'

Checked: everything above. Not checked, for it needs Xcode and a phone: that the project builds against the real SDK, that
the ExecuTorch package resolves and links, Core ML's and Vision's answers and times, the camera, the layout, VoiceOver.
TEXT
