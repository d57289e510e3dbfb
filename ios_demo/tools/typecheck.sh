#!/bin/sh
# Type-check the app against LinuxStubs, where Swift is: typecheck.sh FOLDER_FOR_MODULES
set -eu
cd "$(dirname "$0")/.."
out=$1
flags="-swift-version 5 -module-cache-path $out/cache -I $out"
rm -rf "$out"
mkdir -p "$out"

swiftc -emit-module -module-name LeViTCore -swift-version 6 -o "$out/LeViTCore.swiftmodule" \
  LeViTCore/Sources/LeViTCore/*.swift
# A stub comes after those that it imports.
for module in AppleFoundation Darwin CoreGraphics ImageIO CoreVideo CoreML Vision AVFoundation UIKit SwiftUI PhotosUI \
  ExecuTorch; do
  # shellcheck disable=SC2086
  swiftc -emit-module -parse-as-library -suppress-warnings -module-name $module $flags -o "$out/$module.swiftmodule" \
    LinuxStubs/$module.swift
done

check() {
  # shellcheck disable=SC2046,SC2086
  swiftc -typecheck -parse-as-library -module-name LeViTDemo $flags -strict-concurrency=complete -warnings-as-errors \
    -Xfrontend -import-module -Xfrontend AppleFoundation "$@" $(find LeViTDemo -name '*.swift' | sort)
}

check

# What is a check worth that lets anything pass? These must be refused, and for the right reason.
refused() {
  printf '%s\n' "$2" >"$out/Wrong.swift"
  if check "$out/Wrong.swift" >"$out/wrong.txt" 2>&1 || ! grep -q "Wrong.swift.*error: .*$1" "$out/wrong.txt"; then
    echo "the stubs should refuse this ($1): $2" >&2
    cat "$out/wrong.txt" >&2
    exit 1
  fi
}
refused "cannot convert value of type 'Int'" 'import Vision
func wrong() { _ = VNCoreMLRequest(model: 1) }'
refused "has no member 'colour'" 'import SwiftUI
@MainActor func wrong() { _ = Text(verbatim: "a").colour(.red) }'
refused "to return type 'Int'" 'import ExecuTorch
func wrong() throws -> Int { try Module(filePath: "a").execute("forward", []) }'
refused "'async' call in a function" 'import CoreML
func wrong(_ url: URL) throws -> MLModel { try MLModel.load(contentsOf: url) }'
